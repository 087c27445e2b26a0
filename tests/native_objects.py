"""What compiled x86-64 objects hold: instruction encodings and symbols, read with binutils."""

from __future__ import annotations

import enum
import subprocess
from dataclasses import dataclass
from pathlib import Path


class Encoding(enum.Enum):
    """Families of x86-64 instructions, by the bytes that only they begin with."""

    BASELINE = "baseline"  # what every x86-64 processor has, as far as opcode maps tell
    SSSE3 = "SSSE3 or later"  # opcode maps 0F 38 and 0F 3A, and popcnt
    VEX = "VEX"  # AVX, AVX2, FMA, BMI
    EVEX = "EVEX"  # AVX-512
    TILE = "AMX"  # VEX encodings of the tile unit


@dataclass(frozen=True)
class Instruction:
    """One line of a disassembly."""

    encoding: Encoding
    text: str


_SEGMENT_AND_ADDRESS_PREFIXES = {0x26, 0x2E, 0x36, 0x3E, 0x64, 0x65, 0x67}
_OPERAND_PREFIXES = {0x66, 0xF0, 0xF2, 0xF3}
_TILE_MNEMONICS = ("tileload", "tilestore", "tilezero", "tilerelease", "tdp", "ldtilecfg", "sttile")


def encoding_of(code: bytes, mnemonic: str) -> Encoding:
    """The family of one instruction: in 64-bit mode C4 and C5 begin VEX, 62 EVEX, and no others."""
    start = 0
    while code[start] in _SEGMENT_AND_ADDRESS_PREFIXES:
        start += 1
    if code[start] == 0x62:
        return Encoding.EVEX
    if code[start] in (0xC4, 0xC5):
        return Encoding.TILE if mnemonic.startswith(_TILE_MNEMONICS) else Encoding.VEX
    while code[start] in _SEGMENT_AND_ADDRESS_PREFIXES | _OPERAND_PREFIXES:
        start += 1
    if code[start] & 0xF0 == 0x40:  # REX
        start += 1
    opcode = code[start : start + 2]
    if opcode in (b"\x0f\x38", b"\x0f\x3a") or mnemonic.startswith("popcnt"):
        return Encoding.SSSE3
    return Encoding.BASELINE


def instructions(binary: Path) -> list[Instruction]:
    """The instructions of all code sections of an object or program."""
    listing = _output("objdump", "--disassemble", "--insn-width=16", "--wide", str(binary))
    found = []
    for line in listing.splitlines():
        fields = line.split("\t")  # address, bytes, instruction
        if len(fields) < 3 or not fields[0].strip().endswith(":"):
            continue
        code = bytes.fromhex(fields[1].replace(" ", ""))
        words = [word for word in fields[2].split() if word not in ("rep", "lock", "bnd", "data16")]
        mnemonic = words[0] if words else ""
        found.append(Instruction(encoding_of(code, mnemonic), f"{binary.name}: {line.strip()}"))
    return found


@dataclass(frozen=True)
class Symbol:
    """One definition that other objects see. ``weak``: the linker keeps any one of its copies."""

    name: str
    weak: bool


def shared_functions(binary: Path) -> list[Symbol]:
    """The functions of an object that are not local to it, by their C++ names."""
    listing = _output("nm", "--defined-only", "--extern-only", "--demangle", str(binary))
    found = []
    for line in listing.splitlines():
        _, kind, name = line.split(maxsplit=2)
        if kind in "TtWwiu":
            found.append(Symbol(name, weak=kind in "Wwu"))
    return found


def _output(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout
