/** Numbers of the command line. */
import { InvalidArgumentError } from "commander";

/** @throws InvalidArgumentError */
export function whole(text: string): number {
  const value = Number(text);
  if (/^\d+$/.test(text) && Number.isSafeInteger(value) && value > 0) return value;
  throw new InvalidArgumentError("not a whole number above 0");
}
