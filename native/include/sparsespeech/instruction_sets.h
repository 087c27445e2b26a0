// Which instruction sets the engine may use on the machine that it runs on.

#ifndef SPARSESPEECH_INSTRUCTION_SETS_H_
#define SPARSESPEECH_INSTRUCTION_SETS_H_

#include <string>
#include <vector>

namespace sparsespeech {

// The levels of this processor from lowest to highest, by the names that SPARSESPEECH_CPU_ISA
// takes:
//   "scalar"  always
//   "avx2"    AVX2, FMA and F16C
//   "avx512"  AVX-512 F, BW, DQ, VL with VNNI (dot products) and VBMI, VBMI2 (permute, compress)
//   "amx"     the above with AMX int8 tiles
// A level is listed only where the processor has it and the operating system saves its registers;
// on Linux the first call asks for the tile registers of "amx", which stays in force for the
// process, and lists the level only where they were granted.
std::vector<std::string> instruction_sets();

}  // namespace sparsespeech

#endif  // SPARSESPEECH_INSTRUCTION_SETS_H_
