/**
 * How a value is written for its digest, in words of eight bytes: what it is made of, then one word that says what it was.
 *
 *   string    its UTF-8, zeros up to a whole word              Text   | bytes
 *             of less than eight bytes: nothing                Short + bytes | the bytes
 *   number    its digits as ASCII, zeros up to a whole word    Number | sign, digits, exponent
 *             of few digits: nothing                           Few    | sign, exponent, the digits
 *   array     its values                                       Array  | how many
 *   object    16 bytes each: the digests of its members        Object | how many
 *   literal   nothing                                          True, False, Null
 *
 * The kind is in the top byte of that word. Read from its end such a sequence can be taken apart in one way only, so no text can pass for the values around it.
 */
export const enum TokenKind {
  Text = 1,
  Number = 2,
  Few = 3,
  Array = 4,
  Object = 5,
  True = 6,
  False = 7,
  Null = 8,
  /** And seven more. */
  Short = 16,
}

@inline
export function token(kind: TokenKind, detail: u64): u64 {
  return (<u64>kind << 56) | detail;
}
