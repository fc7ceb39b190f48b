"""SIMD operations on LANES integers at a time for numba, written like scalar code.

numba vectorizes simple loops, but not a search that keeps its best values in registers and stops early.
`load(pointer(array), i)` loads LANES elements from i on as one vector, on which `+ * & >> <<`, `least`, `where_equal`
and similar operations work elementwise; LLVM maps them to the instructions of the processor. Bounds are not checked:
the caller pads its arrays.

With AVX-512 there are sixteen lanes. Other processors have fewer or narrower registers, and eight lanes: with sixteen,
a search would keep its values in memory.
"""

import operator
from typing import Any

from llvmlite import ir
from llvmlite.binding import get_host_cpu_features
from numba import types
from numba.core import cgutils, config
from numba.extending import intrinsic, models, overload, register_model


def _has_avx512() -> bool:
    """Whether numba compiles for AVX-512, with operations on integers of any size."""
    chosen = config.CPU_FEATURES  # type: ignore[attr-defined]
    if chosen is not None:
        return "+avx512bw" in chosen
    return bool(get_host_cpu_features().get("avx512bw"))


LANES = 16 if _has_avx512() else 8
_INT32 = ir.IntType(32)


def _operation(typing: Any) -> Any:
    """An operation for compiled functions, from a function that gives its signature and its code generator."""
    return intrinsic(typing)


class Vector(types.Type):
    """The numba type of LANES unsigned integers."""

    def __init__(self, element: types.Integer) -> None:
        self.element = element
        super().__init__(f"Vector({element})")


@register_model(Vector)
class _VectorModel(models.PrimitiveModel):
    def __init__(self, manager: Any, vector: Any) -> None:
        llvm_vector = ir.VectorType(ir.IntType(vector.element.bitwidth), LANES)
        super().__init__(manager, vector, llvm_vector)  # type: ignore[no-untyped-call]


@_operation
def pointer(typingctx: Any, array: Any) -> Any:
    """Pointer to the first element of a contiguous array. Unlike arrays, pointers are not reference-counted."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return context.make_array(sig.args[0])(context, builder, args[0]).data

    return types.CPointer(array.dtype)(array), codegen  # type: ignore[no-untyped-call]


@_operation
def item(typingctx: Any, start: Any, index: Any) -> Any:
    """The element at an index relative to a pointer."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return builder.load(builder.gep(args[0], [args[1]]))

    return start.dtype(start, types.intp), codegen


@_operation
def put(typingctx: Any, start: Any, index: Any, value: Any) -> Any:
    """Assign the element at an index relative to a pointer."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        builder.store(args[2], builder.gep(args[0], [args[1]]))
        return context.get_dummy_value()

    return types.void(start, types.intp, start.dtype), codegen


def _place(builder: Any, kind: Any, start: Any, index: Any) -> Any:
    llvm_vector = ir.VectorType(ir.IntType(kind.dtype.bitwidth), LANES)
    return builder.bitcast(builder.gep(start, [index]), llvm_vector.as_pointer())


@_operation
def load(typingctx: Any, start: Any, index: Any) -> Any:
    """Load the elements from `index` on relative to a pointer as a vector."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return builder.load(_place(builder, sig.args[0], *args), align=sig.args[0].dtype.bitwidth // 8)

    return Vector(start.dtype)(start, types.intp), codegen


@_operation
def store(typingctx: Any, vector: Any, start: Any, index: Any) -> Any:
    """Store a vector in the elements from `index` on relative to a pointer."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        value, *place = args
        builder.store(value, _place(builder, sig.args[1], *place), align=sig.args[1].dtype.bitwidth // 8)
        return context.get_dummy_value()

    return types.void(vector, start, types.intp), codegen


@_operation
def splat(typingctx: Any, value: Any) -> Any:
    """A vector with one value in every lane."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        undefined = ir.Constant(context.get_value_type(sig.return_type), ir.Undefined)
        first = builder.insert_element(undefined, args[0], ir.Constant(_INT32, 0))
        return builder.shuffle_vector(first, undefined, ir.Constant(ir.VectorType(_INT32, LANES), [0] * LANES))

    return Vector(value)(value), codegen


def _lanewise(name: str) -> Any:
    """An elementwise operation of two vectors, by the name of its LLVM instruction."""

    @_operation
    def operation(typingctx: Any, a: Any, b: Any) -> Any:
        return a(a, b), lambda context, builder, sig, args: getattr(builder, name)(*args)

    return operation


def _as_operator(symbol: Any, operation: Any) -> None:
    @overload(symbol, strict=False)
    def lanewise(a: Any, b: Any) -> Any:
        return (lambda a, b: operation(a, b)) if isinstance(a, Vector) and isinstance(b, Vector) else None


for _symbol, _name in (
    (operator.add, "add"),
    (operator.mul, "mul"),
    (operator.and_, "and_"),
    (operator.or_, "or_"),
    (operator.rshift, "lshr"),
    (operator.lshift, "shl"),
):
    _as_operator(_symbol, _lanewise(_name))


def _selecting(comparison: str) -> Any:
    @_operation
    def choose(typingctx: Any, a: Any, b: Any, yes: Any, no: Any) -> Any:
        def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            return builder.select(builder.icmp_unsigned(comparison, *args[:2]), *args[2:])

        return yes(a, b, yes, no), codegen

    return choose


where_equal = _selecting("==")  # where_equal(a, b, yes, no): yes where a == b
where_less = _selecting("<")


def _extreme(comparison: str) -> Any:
    @_operation
    def extreme(typingctx: Any, a: Any, b: Any) -> Any:
        return a(a, b), lambda context, builder, sig, args: builder.select(
            builder.icmp_unsigned(comparison, *args), *args
        )

    return extreme


least = _extreme("<")
greatest = _extreme(">")


def _shuffling(lanes: list[int]) -> Any:
    """A vector of the given lanes of two vectors, which are counted on."""

    @_operation
    def shuffle(typingctx: Any, a: Any, b: Any) -> Any:
        indices = ir.Constant(ir.VectorType(_INT32, LANES), lanes)
        return a(a, b), lambda context, builder, sig, args: builder.shuffle_vector(*args, indices)

    return shuffle


zip_low = _shuffling([lane for i in range(LANES // 2) for lane in (i, LANES + i)])  # a0 b0 a1 b1 ...
zip_high = _shuffling([lane for i in range(LANES // 2, LANES) for lane in (i, LANES + i)])
even_lanes = _shuffling(list(range(0, 2 * LANES, 2)))  # a0 a2 ... b0 b2 ...
odd_lanes = _shuffling(list(range(1, 2 * LANES, 2)))


def _over_all_lanes(name: str) -> Any:
    @_operation
    def reduction(typingctx: Any, vector: Any) -> Any:
        def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            llvm_vector = args[0].type
            function = cgutils.get_or_insert_function(  # type: ignore[no-untyped-call]
                builder.module,
                ir.FunctionType(llvm_vector.element, [llvm_vector]),
                f"llvm.vector.reduce.{name}.v{LANES}i{llvm_vector.element.width}",
            )
            return builder.call(function, args)

        return vector.element(vector), codegen

    return reduction


@_operation
def any_greater(typingctx: Any, a: Any, b: Any) -> Any:
    """Whether a > b in any lane."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        greater = builder.icmp_unsigned(">", *args)
        bits = ir.IntType(LANES)
        return builder.icmp_unsigned("!=", builder.bitcast(greater, bits), bits(0))

    return types.boolean(a, b), codegen


least_lane = _over_all_lanes("umin")
greatest_lane = _over_all_lanes("umax")
