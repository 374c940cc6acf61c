import type { Api } from "./chat-request-driver.ts";

/** Requests as clients send them, and what stands in them. Tool schemas, prompts and arguments quote the keys that matter. */

export const schema = {
  type: "object",
  properties: {
    model: { type: "string" },
    stream: { type: "boolean", default: true },
    max_tokens: { type: "integer" },
    messages: { type: "array", items: { type: "object", properties: { role: { enum: ["user"] }, content: {} } } },
  },
  required: ["model", "messages"],
};
export const quoted = JSON.stringify({
  model: "no",
  stream: true,
  max_tokens: 1,
  messages: [{ role: "user", content: '"}]\\' }],
});
const png = `data:image/png;base64,${Buffer.alloc(3000, 7).toString("base64")}`;

export const bodies: [name: string, api: Api, body: object | string, expected: object][] = [
  [
    "chat: tools, images, unicode, quoted JSON",
    "chat",
    {
      messages: [
        { role: "system", content: "Sei höflich. 你好 😀" },
        { content: `Was ist das? ${quoted}`, role: "user" },
        { role: "assistant", content: null, tool_calls: [{ id: "1", function: { name: "f", arguments: quoted } }] },
        { role: "tool", tool_call_id: "1", content: quoted },
        {
          role: "user",
          content: [
            { type: "text", text: "und das?" },
            { type: "image_url", image_url: { url: png } },
            { type: "text", text: "\u2028\ud83d\ude00\n" },
          ],
        },
        { role: "assistant", content: "…" },
      ],
      model: "gpt-4o",
      stream: true,
      stream_options: { include_usage: true },
      max_tokens: 100,
      max_completion_tokens: 4096,
      n: 2,
      temperature: 0.7,
      user: "u1",
      safety_identifier: "s1",
      prompt_cache_key: "c1",
      session_id: "id",
      tools: [{ type: "function", function: { name: "chat", parameters: schema } }],
      metadata: { user_id: "m1", other: "x" },
    },
    { stream: true, includeUsage: true, tools: 1, images: 1, messages: 6, userTexts: 2 },
  ],
  [
    "chat: no tools in empty lists",
    "chat",
    { model: "a", messages: [], tools: [], functions: [], stream: false },
    { tools: 0, stream: false },
  ],
  ["chat: functions", "chat", { functions: [{ name: "f", parameters: schema }], messages: [] }, { tools: 1 }],
  [
    "chat: null is absent",
    "chat",
    { stream: null, max_tokens: null, stream_options: null },
    { stream: "absent", includeUsage: "absent" },
  ],
  [
    "chat: other kinds",
    "chat",
    { model: ["a"], stream: "true", max_tokens: "5", messages: {}, tools: {} },
    { stream: "other", messages: 0, tools: 0 },
  ],
  [
    "chat: many messages",
    "chat",
    {
      messages: Array.from({ length: 40 }, (_, i) => ({ role: i % 2 ? "assistant" : "user", content: `message ${i}` })),
    },
    { messages: 40, userTexts: 1 },
  ],
  [
    "completions: string",
    "completions",
    { model: "a", prompt: 'Say "hi"\n', max_tokens: 5, n: 1 },
    { messages: 1, promptBytes: 9 },
  ],
  ["completions: strings", "completions", { prompt: ["a", "bc"] }, { messages: 2, promptBytes: 3 }],
  ["completions: tokens", "completions", { prompt: [1, 2, 3] }, { messages: 1, promptBytes: 0 }],
  ["completions: lists of tokens", "completions", { prompt: [[1, 2], [3]] }, { messages: 2, promptBytes: 0 }],
  [
    "embeddings",
    "embeddings",
    { model: "e", input: ["eins", "zwei 😀"], user: "u", encoding_format: "base64" },
    { messages: 2, promptBytes: 13 },
  ],
  [
    "responses: string",
    "responses",
    { model: "a", input: "hi", instructions: "be nice", max_output_tokens: 16 },
    { messages: 1, promptBytes: 9 },
  ],
  [
    "responses: items",
    "responses",
    {
      model: "a",
      prompt: { id: "p", variables: { model: "no" } },
      input: [
        { type: "message", role: "developer", content: "x" },
        {
          role: "user",
          content: [
            { type: "input_text", text: "see" },
            { type: "input_image", image_url: png },
          ],
        },
        { type: "function_call", call_id: "1", name: "f", arguments: quoted },
        { type: "function_call_output", call_id: "1", output: "12345" },
        { type: "function_call_output", call_id: "2", output: [{ type: "input_image", image_url: png }] },
      ],
      tools: [{ type: "web_search" }],
    },
    { tools: 1, images: 2, messages: 5, promptBytes: 9, userTexts: 1 },
  ],
  [
    "anthropic: system parts, tool results",
    "anthropic",
    {
      model: "claude",
      max_tokens: 1024,
      system: [
        { type: "text", text: "sys", cache_control: { type: "ephemeral" } },
        { type: "text", text: "tem" },
      ],
      messages: [
        {
          role: "user",
          content: [
            { type: "text", text: "ask" },
            { type: "image", source: { type: "base64", data: png } },
          ],
        },
        {
          role: "assistant",
          content: [{ type: "tool_use", id: "1", name: "f", input: { content: "no", type: "image" } }],
        },
        {
          role: "user",
          content: [
            { type: "tool_result", tool_use_id: "1", content: "12" },
            {
              type: "tool_result",
              tool_use_id: "2",
              content: [
                { type: "text", text: "345" },
                { type: "image", source: {} },
              ],
            },
          ],
        },
      ],
      tools: [
        { name: "f", input_schema: schema },
        { type: "bash_20250124", name: "bash" },
      ],
      metadata: { user_id: "user_abc" },
      stream: true,
    },
    { tools: 2, images: 2, messages: 3, promptBytes: 14, userTexts: 1 },
  ],
  [
    "gemini",
    "gemini",
    {
      systemInstruction: { role: "system", parts: [{ text: "sys" }] },
      contents: [
        { parts: [{ text: "no role" }, { inlineData: { mimeType: "image/png", data: png } }] },
        { role: "model", parts: [{ functionCall: { name: "f", args: { text: "no" } } }] },
        { role: "function", parts: [{ functionResponse: { name: "f", response: { parts: [], text: "no" } } }] },
        { role: "model", parts: [{ text: "ok" }, { fileData: { fileUri: "gs://x" } }] },
      ],
      generationConfig: { maxOutputTokens: 99, candidateCount: 3, temperature: 1e-1, responseSchema: schema },
      max_tokens: 7,
      temperature: 2,
      tools: [{ functionDeclarations: [{ name: "f", parameters: schema }] }],
    },
    { tools: 1, images: 2, messages: 4, promptBytes: 12, userTexts: 1 },
  ],
  [
    "gemini: names of the protocol buffers",
    "gemini",
    '{"system_instruction":{"parts":[{"text":"s"}]},"contents":[{"role":"user","parts":[{"inline_data":{}},{"file_data":{}}]}]}',
    { images: 2, promptBytes: 1, userTexts: 0 },
  ],
  [
    "white space, byte order mark, escaped keys",
    "chat",
    '\ufeff {\n "m\\u006fdel" : "a\\ud83d\\ude00\\u00e9" ,\t"messages" : [ { "role":"user" , "content" : "\\u4e2d\\n\\ud83d\\ude00\\u0041\\u00e9" } , 7 ]\r\n} ',
    { messages: 2, promptBytes: 11 },
  ],
];
