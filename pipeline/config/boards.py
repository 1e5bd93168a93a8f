"""The boards that `embed.board` may name: the memory of each that a model may use.

RAM is what one array may have: the whole of it, less what stack, heap and radio usually take. That
share is mcufit's for the same board. Chips whose RAM is in parts have less: see LARGEST_ARRAYS.
"""

from __future__ import annotations

from dataclasses import dataclass

KIB, MIB = 2**10, 2**20

# By a word of mcufit's description of the chip. An ESP32, whose cores are LX6, takes static arrays
# of at most 160 KiB together (ESP-IDF Programming Guide, Memory Types); the STM32F407 has 128 KiB
# in one piece, beside 64 that can hold the stack.
LARGEST_ARRAYS = {"LX6": 160 * KIB, "STM32F407": 128 * KIB}


@dataclass(frozen=True)
class Board:
    """Bytes for a model, and in flash; the datasheets they are from; the board's id in mcufit."""

    ram_bytes: int
    flash_bytes: int
    source: str
    mcufit: str


BOARDS = {
    "esp32": Board(LARGEST_ARRAYS["LX6"], 4 * MIB, "Espressif, ESP32-WROOM-32E datasheet", "esp32"),
    "esp32-s3": Board(
        (512 - 150) * KIB, 8 * MIB, "Espressif, ESP32-S3-WROOM-1 datasheet (N8)", "esp32-s3"
    ),
    "esp32-c3": Board(
        (400 - 150) * KIB, 4 * MIB, "Espressif, ESP32-C3-MINI-1 datasheet (N4)", "esp32-c3"
    ),
    "rp2040": Board((264 - 32) * KIB, 2 * MIB, "Raspberry Pi, Pico datasheet", "rp2040"),
    "rp2350": Board((520 - 32) * KIB, 4 * MIB, "Raspberry Pi, Pico 2 datasheet", "rp2350"),
    "nrf52840": Board(
        (256 - 48) * KIB, 1 * MIB, "Nordic, nRF52840 product specification", "nano33ble"
    ),
    "stm32f407": Board(
        LARGEST_ARRAYS["STM32F407"], 1 * MIB, "ST, DS8626 (STM32F407VG)", "stm32f407-disco"
    ),
    "stm32f746": Board((320 - 32) * KIB, 1 * MIB, "ST, DS10916 (STM32F746NG)", "stm32f746"),
}


def one_array(chip: str, ram_bytes: int) -> int:
    """The bytes that one array may have on a chip, of those that are free."""
    return min([ram_bytes, *(most for word, most in LARGEST_ARRAYS.items() if word in chip)])


def checked_board(name: str) -> str:
    """Returns `name`. Raises ValueError if it is not in the table."""
    if name not in BOARDS:
        raise ValueError(f"{name!r} is not a known board; expected null, {', '.join(BOARDS)}")
    return name


def arena(name: str, arena_bytes: int, esp_nn_bytes: int) -> int:
    """The arena that a build for the board reserves: under ESP-IDF, ESP-NN's kernels need more."""
    return esp_nn_bytes if name.startswith("esp32") else arena_bytes


FOUR_BITS = "use weights of 4 bits (add tflite_int4 to export.formats and set embed.format to it)"


def misfit(name: str, arena_bytes: int, flash_bytes: int) -> str | None:
    """Why a model of these bytes does not fit the board; None if it does."""
    board = BOARDS[name]
    for memory, needed, available, cure in (
        ("RAM", arena_bytes, board.ram_bytes, "use smaller pictures (dataset.height and width)"),
        ("flash", flash_bytes, board.flash_bytes, FOUR_BITS),
    ):
        if needed > available:
            return (
                f"it needs {needed:,} bytes of {memory}, and embed.board {name} has {available:,} "
                f"for a model; {cure}, train.architecture: tiny, or another board"
            )
    return None
