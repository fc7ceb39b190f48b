"""Bilinear interpolation of four pixels at a time with SIMD vectors, as a numba intrinsic.

For each pixel the left and the right neighbour are loaded as a pair, once above and once below; all other operations
work on vectors of four elements. Bounds are not checked.
"""

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

LANES = 4
_INT32, _INT64, _FOUR = ir.IntType(32), ir.IntType(64), ir.VectorType(ir.FloatType(), LANES)


def _places(*numbers: int) -> Any:
    return ir.Constant(ir.VectorType(_INT32, LANES), list(numbers))


def _bilinear4(typingctx: Any, start: Any, at: Any, width: Any, fy: Any, fx: Any, out: Any, j: Any) -> Any:
    """Compute out[j : j + 4] from the image at pixels `at[j]`, flat indices, plus the fractions `fy[j]` and `fx[j]`.

    `start`, `at`, `fy`, `fx` and `out` are pointers: `start` to the image, of any number type and `width` pixels wide;
    `at` to int32; `fy`, `fx` and `out` to float32.
    """

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        start, at, width, fy, fx, out, j = args
        element = sig.args[0].dtype
        pair = ir.VectorType(context.get_value_type(element), 2)

        def neighbours(offset: Any) -> list[Any]:
            """The left and right neighbours of four pixels, as two vectors of two pairs each."""
            pairs = []
            for k in range(LANES):
                index = builder.load(builder.gep(at, [builder.add(j, ir.Constant(_INT64, k))]))
                index = builder.add(builder.sext(index, _INT64), offset)
                place = builder.bitcast(builder.gep(start, [index]), pair.as_pointer())
                pairs.append(builder.load(place, align=element.bitwidth // 8))
            joined = [builder.shuffle_vector(pairs[k], pairs[k + 1], _places(0, 1, 2, 3)) for k in (0, 2)]
            if isinstance(element, types.Float):
                return joined if element.bitwidth == 32 else [builder.fptrunc(two, _FOUR) for two in joined]
            convert = builder.sitofp if element.signed else builder.uitofp
            return [convert(two, _FOUR) for two in joined]

        def four(array: Any) -> Any:
            return builder.bitcast(builder.gep(array, [j]), _FOUR.as_pointer())

        def between(a: Any, b: Any, t: Any) -> Any:
            return builder.fadd(a, builder.fmul(builder.fsub(b, a), t))

        y, x = (builder.load(four(array), align=4) for array in (fy, fx))
        twice = [builder.shuffle_vector(y, y, _places(k, k, k + 1, k + 1)) for k in (0, 2)]
        both = [
            between(*parts) for parts in zip(neighbours(ir.Constant(_INT64, 0)), neighbours(width), twice, strict=True)
        ]
        left, right = (builder.shuffle_vector(*both, _places(*(2 * k + side for k in range(4)))) for side in (0, 1))
        builder.store(between(left, right, x), four(out), align=4)
        return context.get_dummy_value()

    return types.void(start, at, types.intp, fy, fx, out, types.intp), codegen


bilinear4: Any = intrinsic(_bilinear4)
