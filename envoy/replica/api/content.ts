/**
 * What a conversation says, for every API: text and images of its turns become one prompt that the engine counts.
 *
 * The four APIs name an image in four ways (`image_url`, `input_image`, `image`, `inlineData`), but no two of them disagree about a name, so
 * one reader serves all. An image is not looked at: its fingerprint goes into the prompt, so that another image is another prompt.
 */
import { createHash } from "node:crypto";
import { asArray, asObject, asString, type JsonObject } from "../json.ts";

export interface Turn {
  /** As the API names it; `user` is the one that asks, `tool` one that only carries results of tools. */
  readonly role: string;
  /** A string, or a list of parts. */
  readonly content: unknown;
}

export interface Conversation {
  /** Everything the engine reads, in order: the same conversation start gives the same leading text. */
  readonly prompt: string;
  /** Text of the last turn of the user, or of the results of tools after it. */
  readonly question: string;
  /** The last turn is the result of a tool. */
  readonly toolAnswered: boolean;
  readonly images: number;
}

interface PartText {
  readonly text: string;
  readonly images: number;
  readonly toolResult: boolean;
}

const ASKING_ROLES: ReadonlySet<string> = new Set(["user", "tool", "function"]);

/** `opening` is what stands before the first turn: tools and system text. O(length). */
export function readConversation(opening: string, turns: readonly Turn[]): Conversation {
  let prompt = opening;
  let question = "";
  let toolAnswered = false;
  let images = 0;
  for (const { role, content } of turns) {
    const parts = readContent(content);
    prompt += `<${role}>`;
    let text = "";
    toolAnswered = role === "tool" || role === "function";
    for (const part of parts) {
      prompt += part.text;
      images += part.images;
      toolAnswered ||= part.toolResult;
      if (part.images === 0) text += part.text;
    }
    prompt += "\n";
    if (ASKING_ROLES.has(role) && text !== "") question = text;
  }
  return { prompt, question, toolAnswered, images };
}

/** Text of a `content` field: a string, or the text parts of a list of content parts. */
export function contentText(content: unknown): string {
  return readContent(content)
    .map(({ text }) => text)
    .join("");
}

/** First 24 hexadecimal digits of SHA-256. */
export function fingerprint(bytes: string | Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex").slice(0, 24);
}

function readContent(content: unknown): PartText[] {
  if (typeof content === "string") return [{ text: content, images: 0, toolResult: false }];
  return (asArray(content) ?? []).map((part) => readPart(asObject(part) ?? {}));
}

function readPart(part: JsonObject): PartText {
  const text = asString(part.text);
  if (text !== undefined) return { text, images: 0, toolResult: false };
  if (part.type === "tool_result") return { text: contentText(part.content), images: 0, toolResult: true };
  const called = asObject(part.functionResponse ?? part.function_response);
  if (called !== undefined) return { text: JSON.stringify(called.response ?? {}), images: 0, toolResult: true };
  const image = imageSource(part);
  if (image === undefined) return { text: "", images: 0, toolResult: false };
  return { text: `<image ${fingerprint(image)}>`, images: 1, toolResult: false };
}

/** Address or base64 text of an image part; undefined for every other part. */
function imageSource(part: JsonObject): string | undefined {
  const inline = asObject(part.inlineData ?? part.inline_data);
  const file = asObject(part.fileData ?? part.file_data);
  const source = part.type === "image" ? asObject(part.source) : undefined;
  return (
    asString(asObject(part.image_url)?.url) ?? // chat completions
    asString(part.image_url) ?? // responses
    asString(source?.data) ?? // messages
    asString(source?.url) ??
    asString(inline?.data) ?? // Gemini
    asString(file?.fileUri ?? file?.file_uri)
  );
}
