import { expect } from "vitest";
import { type Answer, type Api, shortNames, type Verdict } from "./answer-check-driver.ts";
import { expected } from "./answer-check-reference.ts";
import { transcripts } from "./transcripts.ts";

/** The transcripts as answers to judge, and what they are. */

export interface Named extends Answer {
  name: string;
}

export const answers: Named[] = transcripts
  .filter(({ api }) => api in shortNames)
  .map(({ name, api, answerType, answerBody }) => ({
    name,
    api: shortNames[api] as Api,
    form: answerType.startsWith("text/event-stream") ? "events" : name.includes("-array") ? "array" : "document",
    bytes: answerBody,
  }));

/** All others are whole. */
const notWhole: Record<string, Verdict> = {
  "anthropic-messages-stream-error": "error",
  // Perplexity writes no [DONE].
  "compatible-chat-stream-cumulative": "truncated",
  // FUNCTION_CALL is none of Gemini's reasons.
  "recorded-aimock-gemini-generate-tools": "unknown",
  "recorded-aimock-gemini-stream-tools": "unknown",
  "recorded-litellm-gemini-stream-tools": "unknown",
  "recorded-dynamo-chat-refused": "unknown",
  "recorded-dynamo-completions-refused": "unknown",
  "recorded-dynamo-responses-refused": "unknown",
  "recorded-dynamo-chat-stream-broken": "error",
  "recorded-dynamo-messages-stream-broken": "error",
};
export const verdictOf = (name: string): Verdict => notWhole[name] ?? (name.endsWith("-refused") ? "error" : "whole");
export const whole = answers.filter(({ name }) => verdictOf(name) === "whole");
const streams = answers.filter(({ form }) => form === "events");
export const wholeStreams = streams.filter(({ name }) => verdictOf(name) === "whole");

export const steps = [1, 2, 3, 5, 7, 16, 17, 33, 64, 255, 4096];
export const text = ({ bytes }: Answer) => bytes.toString();
export const like = (answer: Answer, body: string): Answer => ({ ...answer, bytes: Buffer.from(body) });

/** The events of a stream, each with its blank line. */
export const eventsOf = (answer: Answer): string[] => text(answer).match(/[\s\S]*?(?:\r?\n){2}/g) ?? [];

/** What the reference says; where the JSON is broken, anything but whole. */
export function compare(answer: Answer, got: Verdict): void {
  const want = expected(answer);
  if (want === "no JSON") expect([text(answer), got]).not.toEqual([text(answer), "whole"]);
  else expect([text(answer), got]).toEqual([text(answer), want]);
}
