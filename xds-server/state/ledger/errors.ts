/** Errors of the ledger's admin API. Each has a code, a status and a remedy; docs/token-ledger.md lists them, and a test compares the two. */

export const LEDGER_ERRORS = {
  unauthorized: { status: 401, remedy: "Send `authorization: Bearer` with the token of TOKENMESH_LEDGER_TOKEN." },
  not_found: { status: 404, remedy: "Use one of the paths that the answer lists." },
  method_not_allowed: { status: 405, remedy: "Use the method that `allow` names." },
  body_too_large: { status: 413, remedy: "Send at most 64 KiB." },
  invalid_body: { status: 400, remedy: "Send one JSON object with the fields of docs/token-ledger.md." },
  cross_site: { status: 403, remedy: "Call the API from a program, by its address: browsers are refused." },
  unknown_domain: { status: 404, remedy: "Name a domain of the ledger's configuration." },
  no_such_budget: {
    status: 404,
    remedy:
      "Give all entries: in the order of a pattern of the configuration, with values that it matches, or as the list of the domain's budgets has them.",
  },
  no_such_limit: { status: 404, remedy: "Name the period of one of the budget's limits, or leave `per` away for all." },
  store_unavailable: {
    status: 503,
    remedy: "Check that Redis runs and can be reached, then whether the change was made.",
  },
} as const satisfies Readonly<Record<string, { status: number; remedy: string }>>;

export type LedgerErrorCode = keyof typeof LEDGER_ERRORS;

export class LedgerError extends Error {
  override readonly name = "LedgerError";
  readonly code: LedgerErrorCode;

  constructor(code: LedgerErrorCode, message: string) {
    super(message);
    this.code = code;
  }
}
