// A model of the AMX tile instructions that the kernels use, after the pseudo-code and the fault
// conditions of Intel's Software Developer's Manual, volume 2 (LDTILECFG, TILELOADD, TILESTORED,
// TDPBSUD, TDPBF16PS, TILERELEASE; palette 1). What a processor answers with a fault ends the
// program here.

#ifndef SPARSESPEECH_TESTS_TILE_MODEL_H_
#define SPARSESPEECH_TESTS_TILE_MODEL_H_

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace sparsespeech {

class TileModel {
 public:
  static constexpr std::size_t kTiles = 8, kMaxRows = 16, kMaxRowBytes = 64;

  bool configured() const { return configured_; }
  std::size_t products() const { return products_; }

  // A planted fault, to see that a check of the results notices: weights read as unsigned.
  void read_weights_unsigned(bool fault) { weights_unsigned_ = fault; }

  void load_configuration(const std::uint8_t* memory) {
    std::uint8_t bytes[64];
    std::memcpy(bytes, memory, sizeof(bytes));
    require(bytes[0] == 1, "LDTILECFG: palette 1");
    for (int i = 1; i < 16; ++i) require(bytes[i] == 0, "LDTILECFG: bytes 1 to 15 are 0");
    for (int i = 32; i < 48; ++i) require(bytes[i] == 0, "LDTILECFG: bytes 32 to 47 are 0");
    for (int i = 56; i < 64; ++i) require(bytes[i] == 0, "LDTILECFG: bytes 56 to 63 are 0");
    for (std::size_t i = 0; i < kTiles; ++i) {
      const std::size_t row_bytes = bytes[16 + 2 * i] + std::size_t{bytes[17 + 2 * i]} * 256;
      const std::size_t rows = bytes[48 + i];
      require(rows <= kMaxRows && row_bytes <= kMaxRowBytes, "LDTILECFG: size of a tile");
      require((rows == 0) == (row_bytes == 0), "LDTILECFG: rows and bytes are both 0 or neither");
      tiles_[i] = Tile{rows, row_bytes, {}};
    }
    configured_ = true;
  }

  void release() {
    for (Tile& tile : tiles_) tile = Tile{};
    configured_ = false;
  }

  void load(std::size_t index, const std::uint8_t* base, std::ptrdiff_t stride) {
    Tile& tile = used(index, "TILELOADD");
    std::memset(tile.bytes, 0, sizeof(tile.bytes));
    for (std::size_t row = 0; row < tile.rows; ++row, base += stride) {
      std::memcpy(tile.bytes[row], base, tile.row_bytes);
    }
  }

  void store(std::size_t index, std::uint8_t* base, std::ptrdiff_t stride) {
    const Tile& tile = used(index, "TILESTORED");
    for (std::size_t row = 0; row < tile.rows; ++row, base += stride) {
      std::memcpy(base, tile.bytes[row], tile.row_bytes);
    }
  }

  // TDPBSUD: sums += a (signed bytes) times b (unsigned bytes), four products at a time.
  void multiply(std::size_t sums, std::size_t a, std::size_t b) {
    require(sums != a && sums != b && a != b, "TDPBSUD: three different tiles");
    Tile& c = used(sums, "TDPBSUD");
    const Tile &left = used(a, "TDPBSUD"), &right = used(b, "TDPBSUD");
    require(c.row_bytes % 4 == 0 && left.row_bytes % 4 == 0 && right.row_bytes % 4 == 0,
            "TDPBSUD: rows of whole quads");
    require(
        left.rows == c.rows && right.row_bytes == c.row_bytes && left.row_bytes / 4 == right.rows,
        "TDPBSUD: matching sizes");
    for (std::size_t m = 0; m < c.rows; ++m) {
      for (std::size_t n = 0; n < c.row_bytes / 4; ++n) {
        std::uint32_t sum;  // wraps
        std::memcpy(&sum, c.bytes[m] + 4 * n, sizeof(sum));
        for (std::size_t k = 0; k < left.row_bytes; ++k) {
          const std::uint8_t byte = left.bytes[m][k];
          const int weight = weights_unsigned_ ? byte : static_cast<std::int8_t>(byte);
          const int product = weight * right.bytes[k / 4][4 * n + k % 4];
          sum += static_cast<std::uint32_t>(product);
        }
        std::memcpy(c.bytes[m] + 4 * n, &sum, sizeof(sum));
      }
    }
    ++products_;
  }

  // TDPBF16PS: sums += a times b, two products of bf16 at a time, added in the order of the
  // Intrinsics Guide. The manual sums even and odd products apart and flushes denormals.
  void multiply_bf16(std::size_t sums, std::size_t a, std::size_t b) {
    require(sums != a && sums != b && a != b, "TDPBF16PS: three different tiles");
    Tile& c = used(sums, "TDPBF16PS");
    const Tile &left = used(a, "TDPBF16PS"), &right = used(b, "TDPBF16PS");
    require(
        left.rows == c.rows && right.row_bytes == c.row_bytes && left.row_bytes / 4 == right.rows,
        "TDPBF16PS: matching sizes");
    for (std::size_t m = 0; m < c.rows; ++m) {
      for (std::size_t k = 0; k < left.row_bytes / 4; ++k) {
        for (std::size_t n = 0; n < c.row_bytes / 4; ++n) {
          float sum;
          std::memcpy(&sum, c.bytes[m] + 4 * n, sizeof(sum));
          for (std::size_t half = 0; half < 4; half += 2) {
            sum += bf16(left.bytes[m] + 4 * k + half) * bf16(right.bytes[k] + 4 * n + half);
          }
          std::memcpy(c.bytes[m] + 4 * n, &sum, sizeof(sum));
        }
      }
    }
    ++products_;
  }

  static void require(bool holds, const char* rule) {
    if (holds) return;
    std::fprintf(stderr, "tile model: broken rule of %s\n", rule);
    std::abort();
  }

 private:
  struct Tile {
    std::size_t rows = 0, row_bytes = 0;
    std::uint8_t bytes[kMaxRows][kMaxRowBytes] = {};
  };

  static float bf16(const std::uint8_t* bytes) {
    std::uint8_t whole[4] = {0, 0, bytes[0], bytes[1]};
    float value;
    std::memcpy(&value, whole, sizeof(value));
    return value;
  }

  Tile& used(std::size_t index, const char* instruction) {
    require(configured_ && index < kTiles && tiles_[index].rows > 0, instruction);
    return tiles_[index];
  }

  Tile tiles_[kTiles];
  bool configured_ = false, weights_unsigned_ = false;
  std::size_t products_ = 0;
};

}  // namespace sparsespeech

#endif  // SPARSESPEECH_TESTS_TILE_MODEL_H_
