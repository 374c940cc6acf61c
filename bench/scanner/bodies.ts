/** The request bodies of this benchmark: chats whose text is of one kind. Made from a seed, so every run sees the same bytes. */
import { chatRequest } from "../envoy/chat.ts";

export const model = "gpt-4o";

export interface BodyKind {
  readonly name: string;
  readonly what: string;
  /** JSON text of a chat request of about `bytes` bytes, `messages` before `model`. */
  make(bytes: number): string;
}

/** Longest message, in bytes of text. */
const perMessage = 16_000;

/** Whole numbers below `limit`, the same ones in every run. */
function numbers(seed: number): (limit: number) => number {
  let state = seed >>> 0;
  return (limit) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * limit);
  };
}

/** A chat whose messages are made of `pieces`, taken at random. */
function chat(pieces: readonly string[], bytes: number): string {
  const next = numbers(7);
  const messages: { role: string; content: string }[] = [];
  let left = bytes - Buffer.byteLength(JSON.stringify({ messages, model }));
  while (left > 0) {
    let content = "";
    const wanted = Math.min(left - 40, perMessage, bytes / 4);
    for (let size = 0; size < wanted; ) {
      const piece = pieces[next(pieces.length)] ?? "";
      content += piece;
      size += escapedBytes(piece);
    }
    const message = { role: messages.length % 2 === 0 ? "user" : "assistant", content };
    messages.push(message);
    left -= Buffer.byteLength(JSON.stringify(message)) + 1;
  }
  return JSON.stringify({ messages, model });
}

const escapedBytes = (text: string): number => Buffer.byteLength(JSON.stringify(text)) - 2;

const lines = [
  'import { readFileSync } from "node:fs";\n',
  "export async function main(argv: readonly string[]): Promise<void> {\n",
  '  const [path = "config.json"] = argv;\n',
  "  for (let i = 0; i < items.length; i++) {\n",
  '    console.log(i + ": " + (items[i] ?? "none"));\n',
  "  }\n}\n\n",
  '\tif (line.match(/^\\s*"(\\w+)"\\s*:\\s*(.*)$/)) return { ok: false };\n',
  '\tprintf("%s\\t%d\\n", name, count);\n',
  "    # where the windows are: C:\\data\\models\n",
  '    raise ValueError("no such model: %r" % model)\n',
  '{"name": "get_weather", "arguments": "{\\"city\\": \\"Berlin\\"}"}\n',
];

const phrases =
  "请用三句话总结这段文字 这个函数为什么返回错误 首先检查请求的延迟 然后比较两个模型的结果 缓存命中率下降了 部署到新的集群 因为 所以 但是 如果 我们 可以".split(
    " ",
  );
const sentences = [
  ...phrases,
  ...phrases.map((phrase) => `${phrase}，`),
  ...phrases.map((phrase) => `${phrase}。`),
  "。\n\n",
  " Envoy ",
  "（v1.40）",
  "“模型”",
];

/** A question about one image, as a data URL. */
function image(bytes: number): string {
  const next = numbers(11);
  const random = Buffer.from(Array.from({ length: Math.max(Math.floor((bytes - 250) * 0.75), 16) }, () => next(256)));
  const content = [
    { type: "text", text: "What is in this picture?" },
    { type: "image_url", image_url: { url: `data:image/png;base64,${random.toString("base64")}`, detail: "high" } },
  ];
  return JSON.stringify({ messages: [{ role: "user", content }], model });
}

export const bodyKinds: readonly BodyKind[] = [
  {
    name: "prose",
    what: "English text with quotes, a little code and a few words beyond ASCII",
    make: (bytes) => chatRequest({ model, bytes, seed: 1 }),
  },
  { name: "code", what: "source code: a quote, backslash or tab every few bytes", make: (bytes) => chat(lines, bytes) },
  { name: "image", what: "an image in base64", make: image },
  { name: "cjk", what: "Chinese text with a few words in ASCII", make: (bytes) => chat(sentences, bytes) },
];
