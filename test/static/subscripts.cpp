// SPDX-License-Identifier: Apache-2.0
// The text of an einsum. What is malformed and how the compiler says so is in compile_fail/.
#include <gshard/einsum/subscripts.hpp>

namespace {

using namespace gshard;
using Fault = gshard::detail::SubscriptsFault;

consteval Fault fault_of(std::string_view text) { return gshard::detail::parse_subscripts(text).fault; }

static_assert(subscripts_of<"ab,bc->ac"> == Subscripts{{Labels{'a', 'b'}, Labels{'b', 'c'}}, {'a', 'c'}});
static_assert(subscripts_of<"gsec,gsm->egcm"> ==
              Subscripts{{Labels{'g', 's', 'e', 'c'}, Labels{'g', 's', 'm'}}, {'e', 'g', 'c', 'm'}});
static_assert(subscripts_of<"ab->ba"> == Subscripts{{Labels{'a', 'b'}}, {'b', 'a'}});
static_assert(subscripts_of<"ab->"> == Subscripts{{Labels{'a', 'b'}}, {}});
static_assert(subscripts_of<",->"> == Subscripts{{Labels{}, Labels{}}, {}}, "two scalars");
static_assert(subscripts_of<",ab->ab"> == Subscripts{{Labels{}, Labels{'a', 'b'}}, {'a', 'b'}},
              "a scalar times a matrix");
static_assert(subscripts_of<"iij->ij"> == Subscripts{{Labels{'i', 'i', 'j'}}, {'i', 'j'}});
static_assert(subscripts_of<"Ab,bC->AC"> == Subscripts{{Labels{'A', 'b'}, Labels{'b', 'C'}}, {'A', 'C'}});
static_assert(subscripts_of<" ab , bc -> ac "> == subscripts_of<"ab,bc->ac">, "blanks say nothing");
static_assert(subscripts_of<"abcdefgh->hgfedcba">.result.size() == 8);

// ---- `...` stands for the dimensions without a letter
static_assert(subscripts_of<"...ab,bc->...ac", 4, 2> == subscripts_of<"ABab,bc->ABac">);
static_assert(subscripts_of<"...ab,...bc->...ac", 3, 3> == subscripts_of<"Aab,Abc->Aac">,
              "both have it: the dimensions are the same");
static_assert(subscripts_of<"...ab,...bc->...ac", 4, 3> == subscripts_of<"ABab,Bbc->ABac">, "aligned at the last one");
static_assert(subscripts_of<"...ab,...bc->...ac", 2, 3> == subscripts_of<"ab,Abc->Aac">);
static_assert(subscripts_of<"...ab->...ba", 2> == subscripts_of<"ab->ba">, "no dimension is left");
static_assert(subscripts_of<"...->...", 3> == subscripts_of<"ABC->ABC">);
static_assert(subscripts_of<"...,...->...", 1, 3> == subscripts_of<"C,ABC->ABC">);
static_assert(subscripts_of<"a...b->b...a", 4> == subscripts_of<"aABb->bABa">, "anywhere among the letters");
static_assert(subscripts_of<"...a->a", 3> == subscripts_of<"ABa->a">, "summed like letters, where the result lacks it");
static_assert(subscripts_of<"B...A,A->...B", 4, 1> == subscripts_of<"BCDA,A->CDB">,
              "letters that the text does not use");
static_assert(subscripts_of<" ... a b , b -> ... a", 3, 1> == subscripts_of<"Aab,b->Aa">);
static_assert(operand_count<"...ab,bc->...ac"> == 2 && operand_count<"->"> == 1);

static_assert(fault_of("ab,bc").kind == Fault::malformed, "no arrow");
static_assert(fault_of("").kind == Fault::malformed);
static_assert(fault_of("a1->a").kind == Fault::malformed);
static_assert(fault_of("a.b->a").kind == Fault::malformed);
static_assert(fault_of("ab->a,b").kind == Fault::malformed, "one result");
static_assert(fault_of("ab->b->a").kind == Fault::malformed);
static_assert(fault_of("ab-ac").kind == Fault::malformed);
static_assert(subscripts_of<"a,b,c->abc">.operands.size() == 3);
static_assert(fault_of("a,a,a,a,a,a,a,a,a->a").kind == Fault::malformed, "at most 8 operands");
static_assert(fault_of("abcdefghi->a").kind == Fault::too_long, "F8: Kokkos views stop at 8 dimensions");
static_assert(fault_of("abcd,efghi->abcdefghi").kind == Fault::too_long);
static_assert(fault_of("...a...->a").kind == Fault::malformed, "two places for the same dimensions");
static_assert(fault_of("..a->a").kind == Fault::malformed);
static_assert(fault_of("a....->a").kind == Fault::malformed);
static_assert(fault_of("ab->...a").kind == Fault::result_ellipsis_in_no_operand);
static_assert(gshard::detail::parse_subscripts("...ab,cde->...abcde", {6, 3}).fault.kind == Fault::too_long,
              "4 + 5 dimensions");
static_assert(gshard::detail::parse_subscripts("...ab->...ab", {8}).fault.kind == Fault::none);
static_assert(fault_of("ab,bc->ad").kind == Fault::result_letter_in_no_operand && fault_of("ab,bc->ad").letter == 'd');
static_assert(fault_of("ab,bc->aca").kind == Fault::result_letter_twice && fault_of("ab,bc->aca").letter == 'a');

}  // namespace
