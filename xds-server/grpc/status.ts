/** https://grpc.github.io/grpc/core/md_doc_statuscodes.html */
export const Status = {
  ok: 0,
  cancelled: 1,
  unknown: 2,
  invalidArgument: 3,
  deadlineExceeded: 4,
  notFound: 5,
  alreadyExists: 6,
  permissionDenied: 7,
  resourceExhausted: 8,
  failedPrecondition: 9,
  aborted: 10,
  outOfRange: 11,
  unimplemented: 12,
  internal: 13,
  unavailable: 14,
  dataLoss: 15,
  unauthenticated: 16,
} as const;
export type Status = (typeof Status)[keyof typeof Status];

const NAMES = new Map<Status, string>(
  Object.entries(Status).map(([name, code]) => [code, name.replace(/[A-Z]/g, "_$&").toUpperCase()]),
);

/** `RESOURCE_EXHAUSTED` for 8. */
export function statusName(status: Status): string {
  return NAMES.get(status) ?? "UNKNOWN";
}

/** Ends a call with a status. */
export class CallError extends Error {
  override readonly name = "CallError";
  readonly status: Status;

  constructor(status: Status, message: string) {
    super(message);
    this.status = status;
  }
}

/** What a caller hears of a mistake in this server. */
export const INTERNAL = new CallError(Status.internal, "internal error; see the server's log");

/** `grpc-message`: printable ASCII without %; every other byte of the UTF-8 is %XX. */
export function percentEncoded(text: string): string {
  let encoded = "";
  for (const byte of Buffer.from(text)) {
    const plain = byte >= 0x20 && byte <= 0x7e && byte !== 0x25;
    encoded += plain ? String.fromCharCode(byte) : `%${byte.toString(16).toUpperCase().padStart(2, "0")}`;
  }
  return encoded;
}
