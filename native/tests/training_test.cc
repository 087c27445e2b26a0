// The training kernels against plain loops in double precision.

#include "sparsespeech/training.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <string>
#include <vector>

#include "kernel_test.h"

namespace sparsespeech {
namespace {

constexpr double kFloatError = 2e-5;     // relative to the largest value
constexpr double kBfloat16Error = 2e-2;  // factors rounded to 8 bits

struct Csr {
  std::vector<std::int32_t> first{0}, columns;
  std::vector<float> values;
  std::size_t width;

  SparseRows rows() const { return {first, columns, values.data()}; }
  float at(std::size_t row, std::size_t column) const {
    for (std::int32_t i = first[row]; i < first[row + 1]; ++i) {
      if (columns[i] == static_cast<std::int32_t>(column)) return values[i];
    }
    return 0;
  }
};

float real(Random& random) { return std::uniform_real_distribution<float>(-1, 1)(random); }

// Rows of every number of nonzeros, empty ones too.
Csr random_matrix(std::size_t rows, std::size_t columns, Random& random) {
  Csr matrix;
  matrix.width = columns;
  for (std::size_t row = 0; row < rows; ++row) {
    const std::int64_t share = draw(random, 0, 4);
    for (std::size_t column = 0; column < columns; ++column) {
      if (draw(random, 0, 3) >= share) continue;
      matrix.columns.push_back(static_cast<std::int32_t>(column));
      matrix.values.push_back(real(random));
    }
    matrix.first.push_back(static_cast<std::int32_t>(matrix.columns.size()));
  }
  return matrix;
}

Csr transposed(const Csr& matrix) {
  Csr result;
  result.width = matrix.first.size() - 1;
  for (std::size_t column = 0; column < matrix.width; ++column) {
    for (std::size_t row = 0; row < result.width; ++row) {
      const float value = matrix.at(row, column);
      if (value == 0) continue;
      result.columns.push_back(static_cast<std::int32_t>(row));
      result.values.push_back(value);
    }
    result.first.push_back(static_cast<std::int32_t>(result.columns.size()));
  }
  return result;
}

ExactBuffer<float> random_values(std::size_t size, Random& random) {
  ExactBuffer<float> values(size);
  for (std::size_t i = 0; i < size; ++i) values[i] = real(random);
  return values;
}

void expect_near(const std::string& what, std::span<const float> found,
                 const std::vector<double>& expected, double error) {
  double largest = 1;
  for (const double value : expected) largest = std::max(largest, std::abs(value));
  for (std::size_t i = 0; i < expected.size(); ++i) {
    if (std::abs(found[i] - expected[i]) <= error * largest) continue;
    std::printf("%s: value %zu is %g, expected %g\n", what.c_str(), i, found[i], expected[i]);
    ++failures;
    return;
  }
}

std::uint16_t upper_half(float value) {
  std::uint32_t bits = 0;
  std::memcpy(&bits, &value, sizeof bits);
  return static_cast<std::uint16_t>(bits >> 16);
}

void test_lanes() {
  Random random(1);
  for (const std::size_t batch : {1, 5, 16, 31, 64}) {
    const std::size_t lanes = (batch + 15) / 16 * 16, steps = 3;
    for (const std::size_t features : {1, 16, 29}) {
      const ExactBuffer<float> x = random_values(steps * batch * features, random);
      ExactBuffer<float> spread(steps * features * lanes), back(x.size());
      to_lanes(x.data(), batch, features, {steps, lanes}, features, spread.data());
      std::vector<double> expected(spread.size(), 0.0);
      for (std::size_t i = 0; i < x.size(); ++i) {
        const std::size_t feature = i % features, row = i / features;
        expected[(row / batch * features + feature) * lanes + row % batch] = x[i];
      }
      expect_near("to_lanes", spread.span(), expected, 0);
      from_lanes(spread.data(), batch, features, {steps, lanes}, features, back.data());
      expect_near("from_lanes", back.span(), {x.data(), x.data() + x.size()}, 0);
      const std::size_t few = (features + 1) / 2;  // the first columns of wider rows
      ExactBuffer<float> part(steps * few * lanes);
      to_lanes(x.data(), batch, few, {steps, lanes}, features, part.data());
      for (std::size_t t = 0; t < steps; ++t) {
        const auto* const whole = expected.data() + t * features * lanes;
        expect_near("to_lanes of columns", {part.data() + t * few * lanes, few * lanes},
                    {whole, whole + few * lanes}, 0);
      }
    }
  }
}

void test_rows() {
  Random random(4);
  for (const std::size_t lanes : {16, 48, 64}) {
    for (const std::size_t features : {1, 16, 29}) {
      const std::size_t steps = 4;
      ExactBuffer<std::int32_t> lengths(lanes);
      for (std::size_t l = 0; l < lanes; ++l) {
        lengths[l] = static_cast<std::int32_t>(draw(random, 0, steps));
      }
      std::vector<double> expected(steps * features * lanes, 0.0);
      std::vector<std::uint16_t> values;
      for (std::size_t t = 0; t < steps; ++t) {
        for (std::size_t l = 0; l < lanes; ++l) {
          if (static_cast<std::int32_t>(t) >= lengths[l]) continue;
          for (std::size_t f = 0; f < features; ++f) {
            const auto value = static_cast<int>(draw(random, -127, 127));  // exact in bf16
            expected[(t * features + f) * lanes + l] = value;
            values.push_back(upper_half(static_cast<float>(value)));
          }
        }
      }
      ExactBuffer<std::uint16_t> rows(values.size()), back(values.size());
      std::copy_n(values.data(), values.size(), rows.data());
      ExactBuffer<float> spread(expected.size(), 1e9F);
      rows_to_lanes(rows.data(), features, lengths.data(), {steps, lanes}, spread.data());
      expect_near("rows_to_lanes", spread.span(), expected, 0);
      lanes_to_rows(spread.data(), features, lengths.data(), {steps, lanes}, back.data());
      if (!std::equal(values.begin(), values.end(), back.data())) {
        std::printf("lanes_to_rows: %zu lanes, %zu features\n", lanes, features);
        ++failures;
      }
    }
  }
}

void check_product(std::size_t lanes, std::size_t steps, Random& random) {
  const std::size_t rows = 23, columns = 19;
  const Csr matrix = random_matrix(rows, columns, random);
  const ExactBuffer<float> x = random_values(steps * columns * lanes, random);
  const ExactBuffer<float> bias = random_values(rows, random);
  std::vector<double> expected(steps * rows * lanes);
  for (std::size_t i = 0; i < expected.size(); ++i) {
    const std::size_t lane = i % lanes, row = i / lanes % rows, step = i / lanes / rows;
    expected[i] = bias[row];
    for (std::size_t c = 0; c < columns; ++c) {
      expected[i] += double{matrix.at(row, c)} * x[(step * columns + c) * lanes + lane];
    }
  }
  for (const bool bfloat16 : {false, true}) {
    ExactBuffer<float> out(expected.size(), 1e9F);
    const Steps shape{steps, lanes};
    const double error = bfloat16 ? kBfloat16Error : kFloatError;
    sparse_product(matrix.rows(), bias.data(), x.data(), columns, shape, bfloat16, false,
                   out.data());
    expect_near("sparse_product", out.span(), expected, error);
    sparse_product(matrix.rows(), nullptr, x.data(), columns, shape, bfloat16, true, out.data());
    std::vector<double> twice(expected);
    for (std::size_t i = 0; i < twice.size(); ++i) {
      twice[i] += expected[i] - bias[i / lanes % rows];
    }
    expect_near("sparse_product added", out.span(), twice, error);
  }
}

void check_gradient(std::size_t lanes, std::size_t steps, Random& random) {
  const std::size_t rows = 9, columns = 21;
  const Csr pattern = random_matrix(rows, columns, random);
  const ExactBuffer<float> g = random_values(steps * rows * lanes, random);
  const ExactBuffer<float> x = random_values(steps * columns * lanes, random);
  std::vector<double> expected(pattern.columns.size(), 0.0);
  for (std::size_t row = 0; row < rows; ++row) {
    for (std::int32_t n = pattern.first[row]; n < pattern.first[row + 1]; ++n) {
      for (std::size_t step = 0; step < steps; ++step) {
        for (std::size_t lane = 0; lane < lanes; ++lane) {
          expected[n] += double{g[(step * rows + row) * lanes + lane]} *
                         x[(step * columns + pattern.columns[n]) * lanes + lane];
        }
      }
    }
  }
  for (const bool bfloat16 : {false, true}) {
    ExactBuffer<float> out(expected.size(), 1e9F);
    sparse_gradient(pattern.rows(), g.data(), x.data(), columns, {steps, lanes}, bfloat16,
                    out.data());
    expect_near("sparse_gradient", out.span(), expected, bfloat16 ? kBfloat16Error : kFloatError);
  }
}

void test_products() {
  Random random(2);
  for (const std::size_t lanes : {16, 32, 48, 64}) {
    for (const std::size_t steps : {1, 2, 5, 19}) {
      check_product(lanes, steps, random);
      check_gradient(lanes, steps, random);
    }
  }
}

struct Trace {
  std::vector<double> gates, cell, hidden;
};

// A plain LSTM direction in double precision.
Trace plain_lstm(const LstmShape& shape, const Csr& recurrent, const ExactBuffer<float>& bias,
                 const ExactBuffer<float>& sums) {
  const std::size_t h = shape.cells, l = shape.lanes, part = h * l;
  Trace trace{std::vector<double>(shape.steps * 4 * part), std::vector<double>(shape.steps * part),
              std::vector<double>(shape.steps * part)};
  std::vector<double> cell(part, 0.0), hidden(part, 0.0);
  const auto sigmoid = [](double x) { return 1 / (1 + std::exp(-x)); };
  for (std::size_t count = 0; count < shape.steps; ++count) {
    const std::size_t t = shape.reverse ? shape.steps - 1 - count : count;
    std::vector<double> p(4 * part);
    for (std::size_t i = 0; i < 4 * part; ++i) {
      p[i] = sums[t * 4 * part + i] + bias[i / l];
      for (std::size_t c = 0; c < h; ++c) p[i] += recurrent.at(i / l, c) * hidden[c * l + i % l];
    }
    for (std::size_t i = 0; i < part; ++i) {
      const bool frame = static_cast<std::int32_t>(t) < shape.lengths[i % l];
      const double in = sigmoid(p[i]), forget = sigmoid(p[part + i]);
      const double candidate = std::tanh(p[2 * part + i]), out = sigmoid(p[3 * part + i]);
      cell[i] = frame ? std::clamp(in * candidate + forget * cell[i], -16.0, 16.0) : 0;
      hidden[i] = frame ? out * std::tanh(cell[i]) : 0;
      const double values[] = {in, forget, candidate, out};
      for (std::size_t gate = 0; gate < 4; ++gate) {
        trace.gates[(t * 4 + gate) * part + i] = values[gate];
      }
      trace.cell[t * part + i] = cell[i];
      trace.hidden[t * part + i] = hidden[i];
    }
  }
  return trace;
}

double loss(const Trace& trace, const ExactBuffer<float>& weights) {
  double sum = 0;
  for (std::size_t i = 0; i < trace.hidden.size(); ++i) sum += trace.hidden[i] * weights[i];
  return sum;
}

std::vector<std::uint16_t> rounded(const Csr& matrix) {
  std::vector<std::uint16_t> dense;
  for (std::size_t row = 0; row + 1 < matrix.first.size(); ++row) {
    for (std::size_t column = 0; column < matrix.width; ++column) {
      dense.push_back(upper_half(matrix.at(row, column)));
    }
  }
  return dense;
}

void check_lstm(std::size_t lanes, bool reverse, Random& random) {
  const std::size_t steps = 5, cells = 6, part = cells * lanes;
  ExactBuffer<std::int32_t> lengths(lanes);
  for (std::size_t l = 0; l < lanes; ++l) {
    lengths[l] = static_cast<std::int32_t>(draw(random, 0, steps));
  }
  const LstmShape shape{steps, cells, lanes, lengths.data(), reverse};
  const Csr matrix = random_matrix(4 * cells, cells, random), back = transposed(matrix);
  const ExactBuffer<float> bias = random_values(4 * cells, random);
  ExactBuffer<float> sums = random_values(steps * 4 * part, random);
  for (std::size_t i = 0; i < sums.size(); ++i) sums[i] *= 3;
  const ExactBuffer<float> weights = random_values(steps * part, random);
  const Trace expected = plain_lstm(shape, matrix, bias, sums);
  // The gradient of a sum is a difference quotient of the plain LSTM.
  std::vector<double> slopes(sums.size());
  for (std::size_t i = 0; i < sums.size(); i += 7) {
    ExactBuffer<float> moved = random_values(sums.size(), random);
    std::copy_n(sums.data(), sums.size(), moved.data());
    const float step = 1.0F / 256;
    moved[i] = sums[i] + step;
    const double above = loss(plain_lstm(shape, matrix, bias, moved), weights);
    moved[i] = sums[i] - step;
    slopes[i] = (above - loss(plain_lstm(shape, matrix, bias, moved), weights)) / (2 * step);
  }
  const SparseRows rows = matrix.rows(), columns = back.rows();
  const std::vector<std::uint16_t> dense = rounded(matrix), dense_back = rounded(back);
  for (const int kind : {0, 1, 2}) {  // sparse float32, sparse bf16, dense
    ExactBuffer<float> gates(sums.size()), cell(steps * part), hidden(steps * part);
    std::copy_n(sums.data(), sums.size(), gates.data());
    RecurrentMatrix forward, backward;
    forward.bfloat16 = backward.bfloat16 = kind == 1;
    if (kind < 2) {
      forward.sparse = &rows;
      backward.sparse = &columns;
    } else {
      forward.dense = dense.data();
      backward.dense = dense_back.data();
    }
    const double error = kind == 0 ? kFloatError : kBfloat16Error;
    lstm_forward(shape, forward, bias.data(), {}, gates.data(), cell.data(), hidden.data());
    expect_near("gates", gates.span(), expected.gates, error);
    expect_near("cell", cell.span(), expected.cell, error);
    expect_near("hidden", hidden.span(), expected.hidden, error);
    ExactBuffer<float> grad_bias(4 * cells, 1e9F);
    lstm_backward(shape, backward, {}, weights.data(), cell.data(), gates.data(), grad_bias.data());
    std::vector<double> sum(4 * cells, 0.0);
    for (std::size_t i = 0; i < gates.size(); ++i) sum[i / lanes % (4 * cells)] += gates[i];
    expect_near("gradient of the bias", grad_bias.span(), sum, kFloatError);
    for (std::size_t i = 0; i < slopes.size(); i += 7) {
      expect_near("gradient", {gates.data() + i, 1}, {slopes[i]}, kind == 0 ? 1e-4 : error);
    }
  }
}

void test_lstm() {
  Random random(3);
  for (const std::size_t lanes : {16, 32, 48, 64}) {
    for (const bool reverse : {false, true}) check_lstm(lanes, reverse, random);
  }
}

}  // namespace
}  // namespace sparsespeech

int main() {
  if (!sparsespeech::training_available()) {
    std::puts("no training kernels for this processor");
    return 0;
  }
  sparsespeech::test_lanes();
  sparsespeech::test_rows();
  sparsespeech::test_products();
  sparsespeech::test_lstm();
  return sparsespeech::failures == 0 ? 0 : 1;
}
