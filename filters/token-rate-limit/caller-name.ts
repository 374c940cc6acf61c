/** A name that no other VM has, of this Envoy or another: what this VM tells a service is told from all others by it. */
import { Bytes, ByteWriter, hexDigit, random, time } from "../sdk";

/** Sixteen digits and a dash. For the configuration: allocates. */
export function callerName(): Bytes {
  const text = new ByteWriter();
  const bits = random.bits();
  const number = bits != 0 ? bits : time.now();
  for (let shift = 60; shift >= 0; shift -= 4) text.byte(hexDigit(<u8>((number >> shift) & 15)));
  text.byte(0x2d);
  const name = text.view().copy();
  text.release();
  return name;
}
