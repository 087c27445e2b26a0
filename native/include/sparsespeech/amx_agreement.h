// A check of the AMX kernels on the processor at hand, which nobody could make beforehand.

#ifndef SPARSESPEECH_AMX_AGREEMENT_H_
#define SPARSESPEECH_AMX_AGREEMENT_H_

namespace sparsespeech {

// Whether the AMX kernels give the integers of the AVX-512 ones on a few fixed products (rule R3)
// with weights of -128 and inputs of 255 among them: about 0.1 ms. Only where instruction_sets()
// lists "amx". Throws std::bad_alloc.
bool amx_agrees_with_avx512();

}  // namespace sparsespeech

#endif  // SPARSESPEECH_AMX_AGREEMENT_H_
