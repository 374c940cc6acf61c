/** Configuration errors: collected, never thrown, so that one run shows all of them, each where it is and with what to do. */
import { ERRORS, type ErrorCode } from "../errors.ts";

/** Where something stands; line and column count from 1. */
export interface Position {
  readonly file: string;
  readonly line: number;
  readonly column: number;
}

export interface ConfigError extends Position {
  readonly code: ErrorCode;
  readonly message: string;
  readonly remedy: string;
}

/** How many errors are kept; a file of the wrong kind can have one per line. */
const MAX_ERRORS = 500;

export class Diagnostics {
  readonly #errors: ConfigError[] = [];
  readonly #warnings: ConfigError[] = [];

  /** @param remedy replaces the general remedy of the code when a better one is known */
  add(code: ErrorCode, { file, line, column }: Position, message: string, remedy: string = ERRORS[code].remedy): void {
    if (this.#errors.length < MAX_ERRORS) this.#errors.push({ code, message, remedy, file, line, column });
  }

  /** As {@link add}, for what is right and still worth a word: the configuration is served. */
  warn(code: ErrorCode, { file, line, column }: Position, message: string, remedy: string = ERRORS[code].remedy): void {
    if (this.#warnings.length < MAX_ERRORS) this.#warnings.push({ code, message, remedy, file, line, column });
  }

  /** What was found elsewhere; what is there already counts once. */
  include({
    errors,
    warnings,
  }: {
    readonly errors: readonly ConfigError[];
    readonly warnings: readonly ConfigError[];
  }): void {
    for (const each of errors)
      if (this.#errors.length < MAX_ERRORS && !this.#errors.includes(each)) this.#errors.push(each);
    for (const each of warnings) if (this.#warnings.length < MAX_ERRORS) this.#warnings.push(each);
  }

  /** Of errors. */
  get count(): number {
    return this.#errors.length;
  }

  /** All errors in the order of files and positions. */
  sorted(): readonly ConfigError[] {
    return [...this.#errors].sort(byPosition);
  }

  /** Likewise. */
  sortedWarnings(): readonly ConfigError[] {
    return [...this.#warnings].sort(byPosition);
  }
}

function byPosition(a: ConfigError, b: ConfigError): number {
  return a.file === b.file ? a.line - b.line || a.column - b.column : a.file < b.file ? -1 : 1;
}

/** `file:line:col: CODE message; remedy`, the form that editors and CI systems make clickable. */
export function formatError({ file, line, column, code, message, remedy }: ConfigError): string {
  return `${file}:${line}:${column}: ${code} ${message}; ${remedy}`;
}
