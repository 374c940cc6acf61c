/** What flags of benches say. */
import { Command, InvalidArgumentError } from "commander";

/** The value of a flag that counts. @throws InvalidArgumentError when it is not a whole number above 0 */
export function positive(text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1) throw new InvalidArgumentError("want a whole number above 0");
  return value;
}

/** For a bench whose only flag is `--rounds`. */
export function roundsOf(
  argv: readonly string[],
  bench: { readonly name: string; readonly description: string; readonly fullRounds: number },
): number {
  const { name, description, fullRounds } = bench;
  const trial = `rounds; fewer than ${fullRounds} are a trial, which writes to build/bench/results`;
  return new Command(name)
    .description(description)
    .option("--rounds <n>", trial, positive, fullRounds)
    .parse(argv, { from: "user" })
    .opts<{ rounds: number }>().rounds;
}
