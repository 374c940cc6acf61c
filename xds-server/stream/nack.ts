/**
 * NACKs for people: which of the resources in a rejected response Envoy complained about. The response carries only free text, for
 * example `Error adding/updating cluster(s) outbound|80||a.test: ...`, so the names are looked up in it.
 */
import type { TypeUrl } from "../../protos/index.ts";
import { MAX_NACK_MESSAGE_LENGTH } from "./limits.ts";

export interface Nack {
  readonly typeUrl: TypeUrl;
  /** Version of the rejected response. */
  readonly version: string;
  /** Names of the response that occur in the message; all of them when none does. */
  readonly resources: readonly string[];
  /** `google.rpc.Code`. */
  readonly code: number;
  readonly message: string;
  /** Milliseconds since the epoch. */
  readonly at: number;
}

/**
 * The names that occur in the message as whole words. Longer names are looked for first and taken out of the text, so `a.test` is not
 * found inside `a.test.example`.
 */
export function namesInMessage(message: string, names: Iterable<string>): readonly string[] {
  let text = message;
  const found: string[] = [];
  for (const name of [...names].sort((a, b) => b.length - a.length)) {
    const rest = withoutWord(text, name);
    if (rest === undefined) continue;
    found.push(name);
    text = rest;
  }
  return found.sort();
}

/** The text with every whole-word occurrence blanked, or undefined when there is none. */
function withoutWord(text: string, word: string): string | undefined {
  if (word === "") return undefined;
  let rest = "";
  let from = 0;
  let found = false;
  for (let at = text.indexOf(word); at !== -1; at = text.indexOf(word, at + word.length)) {
    if (isNameChar(text[at - 1]) || isNameChar(text[at + word.length])) continue;
    rest += `${text.slice(from, at)}\0`;
    from = at + word.length;
    found = true;
  }
  return found ? rest + text.slice(from) : undefined;
}

function isNameChar(char: string | undefined): boolean {
  return char !== undefined && /[\w-]/.test(char);
}

export function shortened(message: string): string {
  return message.length <= MAX_NACK_MESSAGE_LENGTH ? message : `${message.slice(0, MAX_NACK_MESSAGE_LENGTH)} [...]`;
}
