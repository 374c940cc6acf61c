/** `targets` of an LLMRouter: where a request may go and what it looks like there. */
import type { LlmCredential, LlmTarget } from "../llm-model.ts";
import { exactlyOne, extended, map, object, optional, type Reader, required, withDefault } from "../reader.ts";
import { text } from "../scalars.ts";
import { IDENTIFIER, IDENTIFIER_RULE, lowerHeader, memberName, modelName } from "./llm-names.ts";

const AUTHORIZATION = "authorization";

interface RawCredential extends Omit<LlmCredential, "prefix"> {
  readonly prefix: string | undefined;
}

const rawCredential: Reader<RawCredential> = exactlyOne(
  object<RawCredential>({
    header: withDefault(lowerHeader, AUTHORIZATION),
    prefix: optional(text({ min: 0, max: 64, pattern: /^[\x20-\x7e]*$/, what: "visible ASCII or spaces" })),
    // Whoever writes the secret here by mistake does not want to find it in a log.
    env: optional(
      text({
        max: 128,
        pattern: /^[A-Za-z_][A-Za-z0-9_]*$/,
        what: "the name of an environment variable",
        secret: true,
      }),
    ),
    value: optional(
      text({ max: 4_096, pattern: /^[\x21-\x7e]+$/, what: "visible ASCII without spaces", secret: true }),
    ),
  }),
  "env",
  "value",
);

const credential: Reader<LlmCredential> = (cursor) => {
  const raw = rawCredential(cursor);
  if (raw === undefined) return undefined;
  return extended(raw, { prefix: raw.prefix ?? (raw.header === AUTHORIZATION ? "Bearer " : "") });
};

const plainPath = text({
  max: 256,
  pattern: /^\/[\x21-\x22\x24-\x3e\x40-\x7e]*$/,
  what: "a path that starts with / and has no query or fragment",
});

const target: Reader<LlmTarget> = exactlyOne(
  object<LlmTarget>({
    route: optional(memberName),
    cluster: optional(memberName),
    upstreamModel: optional(modelName),
    host: optional(text({ max: 255, pattern: /^[\x21-\x7e]+$/, what: "visible ASCII without spaces" })),
    pathPrefix: optional(
      object<NonNullable<LlmTarget["pathPrefix"]>>({
        from: withDefault(plainPath, "/"),
        to: required(plainPath),
      }),
    ),
    credential: optional(credential),
  }),
  "route",
  "cluster",
);

export const targets = map(target, { min: 1, max: 256, key: { pattern: IDENTIFIER, what: IDENTIFIER_RULE } });
