"""What Python, torch and Triton say where a kernel stops, and what that means to who wrote it: one rule for each."""

from __future__ import annotations

import dataclasses

from grader.report import Verdict


@dataclasses.dataclass(frozen=True)
class Rule:
    """Where `pattern` is found, `sentence` is said; `{0}` and so on are the pattern's groups."""

    name: str
    pattern: str
    sentence: str
    verdict: Verdict | None = None  # where the stage alone would say something weaker


_COMPILE = Verdict.COMPILE_ERROR

RULES = (
    Rule(
        "arange_power_of_two",
        r"arange's range must be a power of 2",
        "tl.arange needs a length that is a power of two: take the next power of two and mask the lanes beyond the end.",
        _COMPILE,
    ),
    Rule(
        "arange_constexpr",
        r"arange's arguments must be of type tl\.constexpr",
        "tl.arange needs lengths known when the kernel is compiled: declare the block size as a tl.constexpr parameter.",
        _COMPILE,
    ),
    Rule(
        "constexpr_missing",
        r"(?:Shape element|shape).{0,40}must have type `?constexpr|Cannot (?:use|interpret).{0,40}as a constexpr",
        "The shape of a block must be known when the kernel is compiled: declare that size as a tl.constexpr parameter.",
        _COMPILE,
    ),
    Rule(
        "dot_too_small",
        r"(?:Input shapes should have M >= \d+|M >= \d+, N >= \d+ and K >= \d+|small blocks not supported)",
        "tl.dot needs every side of its blocks to be at least 16: pad the block and mask the rest.",
        _COMPILE,
    ),
    Rule(
        "atomic_dtype",
        r"ValueError: Unsupported data type",
        "An atomic operation on numbers of this type cannot be run here: add into scratch in fp32, which loses no digits of a "
        "sum, and convert at the end.",
        _COMPILE,
    ),
    Rule(
        "dot_shapes",
        r"(?:First input shape .* is not compatible for matmul|incompatible dimensions.*dot"
        r"|matmul: Input operand 1 has a mismatch|must have equal reduction dimensions)",
        "The two blocks given to tl.dot do not fit: the first one's columns must be as many as the second one's rows "
        "(is a tl.trans missing?).",
        _COMPILE,
    ),
    Rule(
        "dot_rank",
        r"input and other must have equal ranks|Both inputs must be either 2D or 3D",
        "tl.dot takes two matrices of at least 16 × 16: a row of numbers is multiplied by tl.sum(a * b[None, :], axis=1).",
        _COMPILE,
    ),
    Rule(
        "dot_dtypes",
        r"[Bb]oth operands must be same dtype\. Got (\S+) and (\S+)",
        "tl.dot was given {0} and {1}: bring both blocks to one dtype first, for instance probs.to(value.dtype).",
        _COMPILE,
    ),
    Rule(
        "python_in_kernel",
        r"^TypeError: must be real number, not tensor"
        r"|Unsupported function referenced: (?:<ufunc '\w+'>|<built-in function \w+>)"
        r"|a tile of several numbers stands where Python's own functions want one"
        r"|^TypeError: (?:bad operand type for \w+\(\): 'tensor'|object of type 'tensor' has no len\(\))",
        "math, numpy and Python's own functions know no tiles: in a kernel it is tl.exp(x), tl.sqrt(x), tl.max(x, axis=0).",
        _COMPILE,
    ),
    Rule(
        "of_no_such_type",
        r"Expected dtype \[([^\]\n]{1,80})\] but got (\w+)",
        "This function takes {0}, and is given {1}: convert it first, x.to(tl.float32).",
        _COMPILE,
    ),
    Rule(
        "python_in_kernel",
        r"int\(\) argument must be[^\n]{0,120}not 'tensor'|type tensor doesn't define __(?:round|floor|ceil|trunc)__",
        "Python's int, float and round want one number, and know no tensor: in a kernel it is x.to(tl.int32), tl.floor(x).",
        _COMPILE,
    ),
    Rule(
        "power",
        r"unsupported operand type\(s\) for \*\*",
        "A kernel has no **: write x * x, or tl.exp2(y * tl.log2(x)).",
        _COMPILE,
    ),
    Rule(
        "python_in_kernel",
        r"\b(?:max|min|sum)\([^\n]{0,160}\n(?:[ ~^]{1,160}\n)?TypeError: 'int' object is not iterable"
        r"|(?:min|max) requires at least 2 values",
        "Python's max, min and sum go through a list; over a tile it is tl.max(x, axis=0), tl.min(…), tl.sum(x, axis=0).",
        _COMPILE,
    ),
    Rule(
        "tile_as_condition",
        r"Boolean value of Tensor with more than one value is ambiguous",
        "A condition needs one number, and this is a tile of them: choose lane by lane with tl.where, "
        "or give load and store a mask.",
        _COMPILE,
    ),
    Rule(
        "chained_comparison",
        r"simultaneous multiple comparison is not supported",
        "A kernel compares two at a time: write (a <= x) & (x < b).",
        _COMPILE,
    ),
    Rule(
        "return_in_loop",
        r"the loop body should only have one block|Cannot have `return` statements inside",
        "A kernel cannot leave a loop by return: bound the loop, or mask what it does.",
        _COMPILE,
    ),
    Rule(
        "function_in_kernel",
        r"nested function definition|^(?:CompilationError: )?StopIteration\(\)$",
        "A kernel cannot define a function inside: put it above, with @triton.jit of its own.",
        _COMPILE,
    ),
    Rule(
        "break_continue",
        r"'(In|NotIn)' object has no attribute '__name__'",
        "A kernel cannot contain Python's {0}: compare with ==, and join by |.",
        _COMPILE,
    ),
    Rule(
        "break_continue",
        r"(?:'tuple'|'list') object has no attribute '?(append|extend|insert|pop)\b",
        "A kernel has no list that grows ({0}): keep a tile and update it, or store to scratch and load again.",
        _COMPILE,
    ),
    Rule(
        "print_in_kernel",
        r"Cannot evaluate f-string|unsupported format string passed to tensor",
        'An f-string cannot hold a tile: a kernel prints by tl.device_print("x", x).',
        _COMPILE,
    ),
    Rule(
        "break_continue",
        r"only tuple comprehensions are supported",
        "A kernel cannot contain Python's comprehensions: lanes are made by tl.arange, and steps by a loop.",
        _COMPILE,
    ),
    Rule(
        "tuple_for_number",
        r"'tuple(?:_type)?' object has no attribute '(?:type|scalar|dtype|handle)'",
        "A tuple stands where a number is meant: x.stride() and x.shape are tuples, x.stride(0) and x.shape[0] are numbers.",
        _COMPILE,
    ),
    Rule(
        "method_for_number",
        r"'(?:builtin_function_or_method|method|function)' object has no attribute 'type'"
        r"|cannot convert <(?:built-in|bound) method|cannot convert <function",
        "A method stands where a number is meant: x.stride is one, x.stride(0) calls it.",
        _COMPILE,
    ),
    Rule(
        "tensor_in_kernel",
        r"'builtin_function_or_method' object has no attribute 'scalar'",
        "A tensor of torch's stands in the kernel: hand it over as an argument, and load from its pointer.",
        _COMPILE,
    ),
    Rule(
        "torch_type",
        r"'torch\.dtype' object has no attribute '\w+'|cannot convert torch\.\w+ of type <class 'torch\.dtype'>",
        "torch's types are not Triton's: tl.float32, or the type of a pointer, out_ptr.dtype.element_ty.",
        _COMPILE,
    ),
    Rule(
        "torch_type",
        r"'str' object has no attribute 'scalar'|(?:type object 'float'|type object 'int'|type) has no attribute 'scalar'",
        "This is no type of Triton's: tl.float32, or the type of a pointer, out_ptr.dtype.element_ty.",
        _COMPILE,
    ),
    Rule(
        "tuple_for_number",
        r"cannot convert (?:torch\.Size|\()[^\n]{0,120} of type <class '(?:torch\.Size|tuple)'>",
        "A tuple stands where a number is meant: x.stride() and x.shape are tuples, x.stride(0) and x.shape[0] are numbers.",
        _COMPILE,
    ),
    Rule(
        "array_for_tensor",
        r"'numpy\.ndarray' object has no attribute|of type <class 'numpy\.ndarray'>",
        "An array of NumPy's lies where no kernel reaches it: torch.empty(…, device=x.device) makes a tensor.",
        _COMPILE,
    ),
    Rule(
        "address_for_number",
        r"'pointer_type' object has no attribute '\w+'|invalid operands of type pointer<[^\n]{0,40} and pointer<",
        "An address stands where a number is meant: tl.load(pointer + offset) gives what is there.",
        _COMPILE,
    ),
    Rule(
        "float_offset",
        r"invalid operands of type pointer<[^\n]{0,80} and (?:triton\.language\.|<\[[^\]\n]{0,40}\], )(?:float|fp|bf)\d+",
        "An offset is counted in whole numbers, and this one is a float: divide by //, and pass strides as they are.",
        _COMPILE,
    ),
    Rule(
        "no_number",
        r"'NoneType' object has no attribute '(?:type|dtype|scalar|handle)'|cannot convert None of type",
        "None stands where a number or a tile is meant: it is what an argument was given, or what tl.store returns.",
        _COMPILE,
    ),
    Rule(
        "no_number",
        r"'(list|dict|str|set)' object has no attribute '(?:type|dtype|scalar|handle)'"
        r"|cannot convert [^\n]{0,120} of type <class '(?!slice)(\w+)'> to tensor",
        "A {0} stands where a number or a tile is meant.",
        _COMPILE,
    ),
    Rule(
        "text_for_number",
        r"failed to specialize argument of type: (\w+)",
        "A {0} cannot be handed to a kernel: numbers and tensors can, and what the compiler is to know is a tl.constexpr.",
    ),
    Rule(
        "order_of_block",
        r"Expected a permutation of \(0, 1|Expected shape/strides/offsets/block_shape to have the same length",
        "A block pointer's shape, strides, offsets, block_shape and order are of one length: order=(1, 0) for a matrix.",
        _COMPILE,
    ),
    Rule(
        "given_twice",
        r"Conflicting meta-parameters: ([\w, ]+)\.",
        "The launch gives {0}, which the configurations of the autotuner give already: leave it out of the launch.",
    ),
    Rule(
        "too_many_arguments",
        r"\b(?!_launch\b)(\w{1,80})\(\) got multiple values for argument '_semantic'"
        r"|\b(\w{1,80})\(\) takes \d+ positional arguments? but \d+ were",
        "{0} is given more than it takes.",
    ),
    Rule(
        "given_twice",
        r"multiple values for (?:keyword )?argument '(\w+)'",
        "{0} is given twice: by its place among the arguments, and by its name.",
    ),
    Rule(
        "too_many_arguments",
        r"too many positional arguments",
        "The launch gives more arguments than the kernel takes.",
    ),
    Rule(
        "no_such_argument",
        r"\[['\"](\w+)['\"]\][^\n]{0,240}\n(?:[ ~^]{1,240}\n)?KeyError",
        "The kernel has no argument called {0}, which the grid, or a heuristic, asks for.",
    ),
    Rule(
        "configurations",
        r"'(?:dict|int|tuple)' object has no attribute '(?:all_)?kwargs'",
        'The autotuner\'s configs are a list of triton.Config({{"BLOCK": 1024}}, num_warps=4).',
    ),
    Rule(
        "jit_missing",
        r"Unsupported function referenced: <function (\w+) at ",
        "A kernel calls functions of Triton's alone: put @triton.jit above {0}.",
        _COMPILE,
    ),
    Rule(
        "whole_number_for_float",
        r"numpy data itemsize \(\d+ bits\) exceeds dtype",
        "A function of floats is given a whole number: write 0.0 for 0, or convert, x.to(tl.float32).",
        _COMPILE,
    ),
    Rule(
        "mask_of_floats",
        r"error encountered during parsing",
        "The compiler cannot read what this kernel became: is a mask, or a condition, made of floats?",
        _COMPILE,
    ),
    Rule(
        "recursion",
        r"^RecursionError",
        "A function calls itself and finds no end.",
    ),
    Rule(
        "torch_script",
        r"torch\.jit\.script[^\n]{0,80}\n",
        "torch.jit.script cannot read a function that launches kernels: leave it out.",
    ),
    Rule(
        "module_missing",
        r"No module named '([\w.]{1,80})'",
        "There is no {0} where kernels are graded: torch, triton, numpy and Python's own modules are there.",
    ),
    Rule(
        "grid",
        r"(grid=[^\n]{1,80} is no grid, which is [^\n]{1,120})$",
        "{0}.",
    ),
    Rule(
        "grid_is_a_number",
        r"\]\([^\n]{0,240}\n(?:[ ~^]{1,240}\n)?TypeError: object of type 'int' has no len\(\)",
        "The grid is a tuple of one to three numbers: kernel[(rows,)](…), with the comma.",
    ),
    Rule(
        "jit_missing",
        r"\]\([^\n]{0,240}\n(?:[ ~^]{1,240}\n)?TypeError: 'function' object is not subscriptable",
        "What is launched here is a plain function: put @triton.jit above it.",
    ),
    Rule(
        "broadcast",
        r"(?:[Cc]annot make_shape_compatible: incompatible dimensions at index (\d+): (\d+) and (\d+)"
        r"|could not be broadcast together|shape mismatch: objects cannot be broadcast)",
        "Two blocks of different shape meet: check which axis each belongs to, [:, None] for rows and [None, :] for columns.",
        _COMPILE,
    ),
    Rule(
        "loop_carried_type",
        r"Loop-carried variable (\w+) has initial type (.+?) but is re-assigned to (.+?)(?: in loop|$)",
        "{0} starts the loop as {1} and becomes {2} inside: give it its final shape and dtype before the loop "
        "(accumulators are float32).",
        _COMPILE,
    ),
    Rule(
        "branch_type",
        r"Mismatched type for (\w+) between then block \((.+?)\) and else block \((.+?)\)",
        "{0} is {1} in one branch and {2} in the other: give it one shape and dtype in both.",
        _COMPILE,
    ),
    Rule(
        "scalar_store",
        r"(?:Value|Mask|Other) argument cannot be block type if pointer argument is not a block",
        "A block of values meets a single address: add the offsets (pointer + tl.arange(…)) before loading or storing.",
        _COMPILE,
    ),
    Rule(
        "pointer_not_loaded",
        r"cannot cast (?:\[*\d{12}|[^\n]{0,80}pointer<)",
        "Addresses stand where numbers are meant: a pointer with offsets is a tile of addresses; tl.load gives what is there.",
        _COMPILE,
    ),
    Rule(
        "torch_in_kernel",
        r"'tensor' object has no attribute '\w+'|'NoneType' object has no attribute 'to_tensor'"
        r"|unsupported operand type\(s\) for @:|invalid combination of arguments - got \(tensor|must be Tensor, not tensor",
        "A tile is no torch tensor: in a kernel it is tl.exp(x), tl.max(x, axis=0), tl.sum(a * b, axis=1), x.to(tl.float32).",
        _COMPILE,
    ),
    Rule(
        "not_a_pointer",
        r"[Uu]nsupported ptr type (?:<\[?'?)?(?:u?int|\['?\d+|\d+)",
        "A load or store was given a number, which is no pointer: begin with a pointer of the kernel's and add offsets to it; "
        "launch it with the tensor itself, not with x.data_ptr().",
        _COMPILE,
    ),
    Rule(
        "not_a_pointer",
        r"[Uu]nsupported ptr type (?:triton\.language\.)?([^\n]{1,80}?)(?: in `[^\n]{0,40})?$",
        "A load or store was given {0}, which is no pointer: begin with a pointer of the kernel's and add offsets to it.",
        _COMPILE,
    ),
    Rule(
        "block_pointer_mask",
        r"`mask` and `other` arguments cannot be specified for (?:loading|storing)? ?block pointers"
        r"|`mask` and `other` arguments cannot be specified for",
        "A block pointer takes no mask and no other: give boundary_check=(0, 1) and padding_option='zero' instead.",
        _COMPILE,
    ),
    Rule(
        "axis_missing",
        r"axis (\d+) out of bounds for shape \[([^\]]*)\]|invalid axis|invalid expand_dims",
        "This tile has one axis where two are meant: build two with offs_m[:, None] for rows and offs_n[None, :] for columns.",
        _COMPILE,
    ),
    Rule(
        "shape_is_a_number",
        r"\b(zeros|full|broadcast_to|reshape)\([^\n]{0,160}\n(?:[ ~^]{1,160}\n)?TypeError: 'int' object is not iterable",
        "tl.{0} takes its shape in brackets: [BLOCK], or [BLOCK_M, BLOCK_N].",
        _COMPILE,
    ),
    Rule(
        "pointer_indexed",
        r"'int' object is not iterable|unsupported tensor index|'pointer_type' object is not subscriptable"
        r"|cannot convert slice\(|of type <class 'slice'>"
        r"|'tensor' object does not support item assignment",
        "Neither a pointer nor a tile is indexed by numbers: add offsets to a pointer and load, tl.load(ptr + offs); "
        "choose a tile's lanes with tl.where.",
        _COMPILE,
    ),
    Rule(
        "returned_tensor",
        r"^ReturnedInsteadOfWritten: (\w+) returned a tensor and wrote nothing into (\w+(?:, \w+){0,9})$",
        "{0} returns a tensor and writes nothing into {1}: store the answer into {1}, which it is given.",
        Verdict.NOT_WRITTEN,
    ),
    Rule(
        "ptxas",
        r"ptxas[^\n]*?(?:error|fatal)\s*:\s*([^\n]+)",
        "The compiler's assembler says: {0}.",
        _COMPILE,
    ),
    Rule(
        "break_continue",
        r"unsupported AST node type: (\w{1,40})",
        "A kernel cannot contain Python's {0}: write it with a condition, a mask or a loop bound.",
        _COMPILE,
    ),
    Rule(
        "shared_memory",
        r"out of resource: shared memory, Required: (\d+), Hardware limit: (\d+)",
        "The kernel wants {0} bytes of shared memory and the GPU has {1} a block: smaller tiles or fewer stages.",
        _COMPILE,
    ),
    Rule(
        "registers",
        r"out of resource: (?:registers|threads)",
        "The kernel needs more registers than a block can have: smaller tiles or more warps.",
        _COMPILE,
    ),
    Rule(
        "jit_outside",
        r"Cannot call @triton\.jit'd outside of the scope of a kernel",
        "A kernel was called like a function: give it a grid, kernel[grid](…).",
    ),
    Rule(
        "undefined_in_kernel",
        r"name '(\w+)' is not defined\. Did you mean: '(\w+)'",
        "{0} is not defined where it is used: is {1} meant?",
    ),
    Rule(
        "undefined_in_kernel",
        r"(?:name '|NameError\(\"?)?\b(\w+)\b'? is not defined",
        "{0} is not defined where it is used.",
    ),
    Rule(
        "global_in_kernel",
        r"Cannot access global variable (\w+) from within @jit'ed function",
        "A kernel cannot read the global variable {0}: pass it as an argument, or make it a tl.constexpr.",
        _COMPILE,
    ),
    Rule(
        "missing_argument",
        r"\b(?!dynamic_func\b)(\w{1,80})\(\) missing \d+ required positional arguments?: '?([\w', and]+?)'?$",
        "{0} is called without its argument {1}.",
    ),
    Rule(
        "missing_argument",
        r"missing (?:a required|\d+ required positional) arguments?:? '?([\w', and]+?)'?$",
        "The kernel was launched without its argument {0}.",
    ),
    Rule(
        "unexpected_argument",
        r"got an unexpected keyword argument '(dim|keepdim)'",
        "The call passes {0}, which is torch's word: Triton's are axis and keep_dims.",
    ),
    Rule(
        "unexpected_argument",
        r"got an unexpected keyword argument '(?!_semantic)(\w+)'|Keyword argument (\w+) was specified but unrecognised",
        "The call passes an argument the function does not have: {0}.",
    ),
    Rule(
        "not_of_triton",
        r"got an unexpected keyword argument '_semantic'",
        "What is called here is no function of triton.language: a kernel knows no other.",
        _COMPILE,
    ),
    Rule(
        "program_id",
        r"'function' object has no attribute '([xyz])'",
        "Programs are numbered by tl.program_id(0) along the grid's first axis: there is no .{0}.",
        _COMPILE,
    ),
    Rule(
        "no_attribute",
        r"(?:module|type object) '([\w.]+)' has no attribute '(\w+)'\. Did you mean: '(\w+)'",
        "{0} has no {1}: is {2} meant?",
    ),
    Rule(
        "no_attribute",
        r"(?:module|type object) '([\w.]+)' has no attribute '(\w+)'",
        "{0} has no {1}.",
    ),
    Rule(
        "memory",
        r"^MemoryError",
        "The call asks for more memory than there is: allocate less scratch.",
        Verdict.MEMORY_LIMIT,
    ),
    Rule(
        "not_implemented",
        r"^NotImplementedError",
        "The kernel is not written yet.",
    ),
)
