/** Who speaks in a message, by its `role`. */
import { sameText } from "./json-capture";

export const enum Role {
  /** No `role`, as in a token list. */
  Absent = 0,
  System = 1,
  Developer = 2,
  /** Also a bare string. */
  User = 3,
  Assistant = 4,
  Tool = 5,
  Function = 6,
  /** Gemini's assistant. */
  Model = 7,
  /** A `role` that is none of these. */
  Other = 8,
}

/** The role that `length` bytes at `word` name. */
export function roleOf(word: usize, length: i32): Role {
  if (is(word, length, "user")) return Role.User;
  if (is(word, length, "assistant")) return Role.Assistant;
  if (is(word, length, "tool")) return Role.Tool;
  if (is(word, length, "system")) return Role.System;
  if (is(word, length, "developer")) return Role.Developer;
  if (is(word, length, "model")) return Role.Model;
  return is(word, length, "function") ? Role.Function : Role.Other;
}

function is(word: usize, length: i32, name: string): bool {
  return length == name.length && sameText(name, word);
}
