import fc from "fast-check";
import { quoted } from "./chat-request-bodies.ts";
import type { FieldName } from "./chat-request-driver.ts";

/** Generated request bodies: every wanted key with right and wrong values, duplicates, and white space anywhere. */

const space = fc.constantFrom("", "", " ", "\n\t");
const text = fc.oneof(
  fc.string({ unit: "binary", maxLength: 12 }),
  fc.constantFrom(quoted, "user", "text", "image", "\\", '"'),
);
const rawText = fc.tuple(text, fc.boolean()).map(([value, ascii]) => {
  const json = JSON.stringify(value);
  return ascii ? json.replace(/[\u0080-\uffff]/g, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`) : json;
});
export const scalar = fc.oneof(
  rawText,
  fc.integer().map(String),
  fc.constantFrom("true", "false", "null", "0.25", "1e2"),
);
/** Raw JSON with white space anywhere, and duplicate keys. */
export const object = (...members: [key: string, value: fc.Arbitrary<string>][]) =>
  fc
    .array(
      fc
        .oneof(...members.map(([key, value]) => fc.tuple(fc.constant(JSON.stringify(key)), value, space)))
        .map(([key, value, gap]) => `${gap}${key}${gap}:${gap}${value}${gap}`),
      { maxLength: 6 },
    )
    .map((pairs) => `{${pairs.join(",")}}`);
export const list = (value: fc.Arbitrary<string>, maxLength = 3) =>
  fc
    .tuple(fc.array(value, { maxLength }), space)
    .map(([values, gap]) => `[${gap}${values.join(`${gap},${gap}`)}${gap}]`);
const decoy = fc.oneof(scalar, fc.json());
const type = fc.oneof(fc.constantFrom('"text"', '"image"', '"image_url"', '"input_image"', '"tool_result"'), scalar);
const file = fc.oneof(fc.constant('{"data":"x"}'), scalar);
const innerPart = object(["text", rawText], ["type", type], ["content", decoy], ["inlineData", file]);
const inner = fc.oneof(rawText, list(fc.oneof(innerPart, scalar)), decoy);
const part = object(
  ["text", rawText],
  ["text", decoy],
  ["type", type],
  ["content", inner],
  ["inlineData", file],
  ["fileData", file],
);
const parts = fc.oneof(rawText, list(fc.oneof(part, part, scalar, fc.json()), 6), decoy);
const role = fc.oneof(
  fc.constantFrom('"user"', '"assistant"', '"tool"', '"system"', '"model"', '"\\u0075ser"'),
  scalar,
);
const message = fc
  .constantFrom("content", "output")
  .chain((key) => object(["role", role], [key, parts], ["parts", parts], ["name", decoy]));
const messages = fc.oneof(list(fc.oneof(message, message, message, scalar, fc.json()), 20), rawText, decoy);
const entries = fc.oneof(list(fc.oneof(fc.json(), message)), decoy);
const holder = (...names: string[]) =>
  fc.oneof(object(...names.map((name): [string, fc.Arbitrary<string>] => [name, scalar]), ["x", decoy]), decoy);
const plain: FieldName[] = [
  "model",
  "stream",
  "max_tokens",
  "max_completion_tokens",
  "max_output_tokens",
  "n",
  "temperature",
  "user",
];
export const body = object(
  ...[...plain, "safety_identifier", "prompt_cache_key", "session_id"].map((key): [string, fc.Arbitrary<string>] => [
    key,
    decoy,
  ]),
  ...["messages", "messages", "input", "input", "contents", "contents", "prompt"].map(
    (key): [string, fc.Arbitrary<string>] => [key, messages],
  ),
  ...["system", "instructions", "systemInstruction"].map((key): [string, fc.Arbitrary<string>] => [
    key,
    fc.oneof(parts, message),
  ]),
  ...["tools", "functions"].map((key): [string, fc.Arbitrary<string>] => [key, entries]),
  ["metadata", holder("user_id")],
  ["stream_options", holder("include_usage")],
  ["generationConfig", holder("maxOutputTokens", "candidateCount", "temperature")],
);
