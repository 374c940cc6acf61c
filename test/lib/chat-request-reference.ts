import { type Api, type FieldName, roles } from "./chat-request-driver.ts";

/** What a request body says, from `JSON.parse`: the definition that filters/lib/chat-request is compared with. */

type Json = unknown;
type Members = Record<string, Json>;

export interface Expected {
  values: Partial<Record<FieldName, Json>>;
  tools: number;
  images: number;
  promptBytes: number;
  messages: { value: Json; role: string; text: number }[];
  /** Text of the last user message that has any. */
  userText: string[];
}

const isMembers = (value: Json): value is Members =>
  typeof value === "object" && value !== null && !Array.isArray(value);

const member = (value: Json, ...names: string[]): Json => {
  for (const name of names) if (isMembers(value) && Object.hasOwn(value, name)) return value[name];
  return undefined;
};

/** UTF-8 bytes; half a surrogate pair counts two. */
export function bytesOf(text: string): number {
  let bytes = 0;
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    bytes += unit < 0x80 ? 1 : unit < 0x800 || (unit >= 0xd800 && unit < 0xe000) ? 2 : 3;
  }
  return bytes;
}

interface Content {
  texts: string[];
  inner: string[];
  images: number;
}

function partImage(api: Api, part: Members): boolean {
  const data = ["inlineData", "inline_data", "fileData", "file_data"].some((name) => isMembers(member(part, name)));
  return ["image_url", "input_image", "image"].includes(String(member(part, "type"))) || (api === "gemini" && data);
}

function content(api: Api, value: Json): Content {
  const found: Content = { texts: [], inner: [], images: 0 };
  if (typeof value === "string") found.texts.push(value);
  if (!Array.isArray(value)) return found;
  for (const part of value) {
    if (typeof part === "string") found.texts.push(part);
    if (!isMembers(part)) continue;
    const text = member(part, "text");
    if (typeof text === "string") found.texts.push(text);
    if (partImage(api, part)) found.images++;
    const inner = member(part, "content");
    for (const item of typeof inner === "string" ? [inner] : Array.isArray(inner) ? inner : []) {
      const innerText = typeof item === "string" ? item : member(item, "text");
      if (typeof innerText === "string") found.inner.push(innerText);
      if (isMembers(item) && partImage(api, item)) found.images++;
    }
  }
  return found;
}

const size = (found: Content) => [...found.texts, ...found.inner].reduce((sum, text) => sum + bytesOf(text), 0);

const messageKey: Record<Api, string> = {
  chat: "messages",
  completions: "prompt",
  responses: "input",
  embeddings: "input",
  anthropic: "messages",
  gemini: "contents",
};

export function reference(api: Api, doc: Json): Expected {
  const gemini = api === "gemini";
  const config = gemini ? member(doc, "generationConfig", "generation_config") : doc;
  const systemValue =
    api === "responses"
      ? member(doc, "instructions")
      : api === "anthropic"
        ? member(doc, "system")
        : gemini
          ? member(doc, "systemInstruction", "system_instruction")
          : undefined;
  const list = member(doc, messageKey[api]);
  const values: Expected["values"] = {
    model: member(doc, "model"),
    stream: member(doc, "stream"),
    max_tokens: gemini ? undefined : member(doc, "max_tokens"),
    max_completion_tokens: gemini ? undefined : member(doc, "max_completion_tokens"),
    max_output_tokens: gemini ? member(config, "maxOutputTokens") : member(doc, "max_output_tokens"),
    n: gemini ? member(config, "candidateCount") : member(doc, "n"),
    temperature: member(config, "temperature"),
    user: member(doc, "user"),
    user_id: member(member(doc, "metadata"), "user_id"),
    safety_identifier: member(doc, "safety_identifier"),
    prompt_cache_key: member(doc, "prompt_cache_key"),
    session_id: member(doc, "session_id"),
    include_usage: member(member(doc, "stream_options"), "include_usage"),
    tools: member(doc, "tools"),
    functions: member(doc, "functions"),
    messages: list,
    system: systemValue,
  };
  const system = content(api, isMembers(systemValue) ? member(systemValue, "parts") : systemValue);
  const expected: Expected = {
    values,
    tools: [values.tools, values.functions].reduce<number>((sum, v) => sum + (Array.isArray(v) ? v.length : 0), 0),
    images: system.images,
    promptBytes: size(system),
    messages: [],
    userText: [],
  };
  const elements: Json[] = typeof list === "string" ? [list] : Array.isArray(list) ? list : [];
  for (const value of elements) {
    if (typeof value === "string") {
      expected.messages.push({ value, role: "user", text: bytesOf(value) });
      expected.promptBytes += bytesOf(value);
      expected.userText = [value];
    } else if (Array.isArray(value)) {
      expected.messages.push({ value, role: "absent", text: 0 });
    } else if (isMembers(value)) {
      const role = member(value, "role");
      const known = (roles as readonly string[]).slice(1).includes(String(role)) && typeof role === "string";
      const name = role === undefined ? "absent" : known ? role : "other";
      const output = api === "responses" ? member(value, "output") : undefined;
      const found = content(api, gemini ? member(value, "parts") : (output ?? member(value, "content")));
      expected.messages.push({ value, role: name, text: size(found) });
      expected.promptBytes += size(found);
      expected.images += found.images;
      const user = name === "user" || (gemini && name === "absent");
      if (user && found.texts.length > 0) expected.userText = found.texts;
    }
  }
  if (elements.some((value) => typeof value === "number")) {
    expected.messages.push({ value: list, role: "absent", text: 0 });
  }
  return expected;
}
