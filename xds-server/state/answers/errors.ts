/** Errors of `POST /cache/purge`. Each has a code, a status and a remedy; docs/answer-service.md lists them, and a test compares the two. */

export const CACHE_ERRORS = {
  invalid_body: {
    status: 400,
    remedy: "Send one JSON object with one of `key`, `model`, `tenant` and `all`, as docs/answer-service.md has them.",
  },
  body_too_large: { status: 413, remedy: "Send at most 64 KiB." },
  store_unavailable: { status: 503, remedy: "Check that Redis runs and can be reached, then purge again." },
} as const satisfies Readonly<Record<string, { status: number; remedy: string }>>;

export type CacheErrorCode = keyof typeof CACHE_ERRORS;

export class CacheError extends Error {
  override readonly name = "CacheError";
  readonly code: CacheErrorCode;

  constructor(code: CacheErrorCode, message: string) {
    super(message);
    this.code = code;
  }
}
