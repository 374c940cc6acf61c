/** `key` and `hash` of a pool of an EndpointPicker: what requests are equal by, and how endpoints are put in an order for it. */
import { isScalar } from "yaml";
import { fail } from "../cursor.ts";
import type { PickHash, PickKeyPart } from "../endpoint-picker-model.ts";
import { exactlyOne, extended, list, object, optional, positionOf, type Reader, withDefault } from "../reader.ts";
import { integer, oneOf, text } from "../scalars.ts";
import { given, IDENTIFIER, IDENTIFIER_RULE, requestHeader } from "./llm-names.ts";

const FUNCTIONS = ["xxhash64", "sha1", "murmur"] as const satisfies readonly PickHash["function"][];
const METHODS = ["rendezvous", "ring", "maglev"] as const satisfies readonly PickHash["method"][];
const DEFAULT_POINTS = 1_024;

export const DEFAULT_HASH: PickHash = { function: "xxhash64", method: "rendezvous", points: undefined };
export const DEFAULT_KEY: readonly PickKeyPart[] = [
  { header: undefined, cookie: undefined, path: undefined, user: undefined, session: undefined, prefix: true },
];

const cookie = text({ max: 64, pattern: IDENTIFIER, what: IDENTIFIER_RULE });

/** `true`, or the header that carries the session. */
const session: Reader<true | string> = (cursor) => {
  const isFlag = isScalar(cursor.node) && typeof cursor.node.value === "boolean";
  if (!isFlag) return requestHeader(cursor);
  return given(cursor) === true ? true : undefined;
};

const part = exactlyOne(
  object<PickKeyPart>({
    header: optional(requestHeader),
    cookie: optional(cookie),
    path: optional(given),
    user: optional(given),
    session: optional(session),
    prefix: optional(given),
  }),
  "header",
  "cookie",
  "path",
  "user",
  "session",
  "prefix",
);

export const pickKey: Reader<readonly PickKeyPart[]> = list(part, { min: 1, max: 4 });

const hashFields = object<PickHash>({
  function: withDefault(oneOf(FUNCTIONS), DEFAULT_HASH.function),
  method: withDefault(oneOf(METHODS), DEFAULT_HASH.method),
  points: optional(integer({ min: 1, max: 65_536 })),
});

export const pickHash: Reader<PickHash> = (cursor) => {
  const value = hashFields(cursor);
  if (value === undefined) return undefined;
  const { method, points } = value;
  if (method === "ring") return extended(value, { points: points ?? DEFAULT_POINTS });
  if (points === undefined) return value;
  const at = { ...cursor, position: positionOf(value, "points") };
  return fail(at, "TM_CONFIG_CONFLICT", `points has no effect with method ${method}`, "Remove it, or use method ring.");
};
