import { Bytes } from "../sdk";

/** Sees what the client gets of an answer's body, in its order and at once: what is filtered out is not in it, and what a stage makes wait is. */
export abstract class AnswerTap {
  /**
   * Borrowed until it returns. A stage may yet end the answer behind the first `safe` of them, and what follows never comes then; -1: behind none of them, but behind what passed before, up to where
   * that was safe.
   */
  abstract pass(bytes: Bytes, safe: i32): void;

  /** A stage has ended the answer behind what was safe, with these bytes: nothing comes any more. Borrowed until it returns. */
  abstract cut(ending: Bytes): void;
}
