import xxhash from "xxhash-wasm";
import { type Api, roles } from "./chat-request-driver.ts";

/** The chain of a prompt, from a parser that keeps the raw text of every value: what filters/lib/prefix-chain is compared with. */

const { h64Raw } = await xxhash();
const hash = (bytes: Uint8Array, seed = 0n) => BigInt.asUintN(64, h64Raw(bytes, seed));

interface Node {
  raw: string;
  kind: "string" | "array" | "object" | "null" | "literal" | "number";
  text: string;
  items: Node[];
  /** The last one of each name. */
  members: Map<string, Node>;
}

/** Of valid JSON. */
export function parse(json: string): Node {
  let at = 0;
  const skip = () => {
    while (" \t\n\r\ufeff".includes(json[at] ?? "x")) at++;
  };
  const string = () => {
    const from = at++;
    while (json[at] !== '"') at += json[at] === "\\" ? 2 : 1;
    return json.slice(from, ++at);
  };
  const value = (): Node => {
    skip();
    const from = at;
    const node: Node = { raw: "", kind: "number", text: "", items: [], members: new Map() };
    const first = json[at] ?? "";
    if (first === '"') {
      node.kind = "string";
      node.text = JSON.parse(string());
    } else if (first === "[" || first === "{") {
      node.kind = first === "[" ? "array" : "object";
      at++;
      for (skip(); json[at] !== "]" && json[at] !== "}"; skip()) {
        if (json[at] === ",") {
          at++;
          skip();
        }
        if (first === "[") {
          node.items.push(value());
          continue;
        }
        const name = JSON.parse(string());
        skip();
        at++;
        node.members.set(name, value());
      }
      at++;
    } else {
      while (/[-+.\w]/.test(json[at] ?? "")) at++;
      const word = json.slice(from, at);
      if (word === "null") node.kind = "null";
      else if (word === "true" || word === "false") node.kind = "literal";
    }
    node.raw = json.slice(from, at);
    return node;
  };
  return value();
}

const bytes = (...values: number[]) => Buffer.from(values);

function number64(value: bigint): Buffer {
  const buffer = Buffer.alloc(8);
  buffer.writeBigUInt64LE(value);
  return buffer;
}

/** JSON without white space, its strings decoded between FE; of data only the beginning. */
function canonicalValue(raw: string): Buffer {
  const tokens = raw.match(/"(?:[^"\\]|\\.)*"|[^\s"]+/g) ?? [];
  return Buffer.concat(
    tokens.map((token) => {
      if (!token.startsWith('"')) return Buffer.from(token);
      let text = Buffer.from(JSON.parse(token));
      const start = text.subarray(0, 1024);
      if (start.length === 1024 && start.every((byte) => byte > 0x20 && byte < 0x7f)) {
        text = Buffer.concat([start, bytes(0xfd), number64(hash(text.subarray(1024)))]);
      }
      return Buffer.concat([bytes(0xfe), text, bytes(0xfe)]);
    }),
  );
}

const mark = (tag: number, ...content: Buffer[]) => Buffer.concat([bytes(0xff, tag), ...content]);

function memberMarks(members: Map<string, Node>, without: string[]): Buffer[] {
  return [...members]
    .filter(([name, node]) => !without.includes(name) && node.kind !== "null" && Buffer.byteLength(name) <= 64)
    .map(([name, node]) => ({ name: hash(Buffer.from(name)), node }))
    .sort((a, b) => (a.name < b.name ? -1 : 1))
    .map(({ name, node }) => mark(3, number64(name), canonicalValue(node.raw)));
}

function element(node: Node): Buffer {
  if (node.kind === "string") return mark(1, Buffer.from(node.text));
  if (node.kind !== "object") return mark(2, canonicalValue(node.raw));
  const text = node.members.get("text");
  const type = node.members.get("type")?.text ?? "";
  if (text?.kind !== "string") return mark(6, ...memberMarks(node.members, ["cache_control"]));
  const plain = ["text", "input_text", "output_text"].includes(type) ? ["type"] : [];
  const members = memberMarks(node.members, ["cache_control", "text", ...plain]);
  if (members.length === 0) return mark(1, Buffer.from(text.text));
  return Buffer.concat([mark(6, ...members), mark(7, Buffer.from(text.text))]);
}

function content(node: Node | undefined): Buffer {
  if (node === undefined || node.kind === "null" || node.kind === "literal") return Buffer.alloc(0);
  return node.kind === "array" ? Buffer.concat(node.items.map(element)) : element({ ...node, members: new Map() });
}

/** Content that is an object is one value. */
function messageContent(node: Node | undefined): Buffer {
  return node?.kind === "object" ? mark(2, canonicalValue(node.raw)) : content(node);
}

const roleMark = (role: string) => {
  const index = (roles as readonly string[]).indexOf(role);
  const known = index > 0 && index < roles.length - 1;
  return known ? mark(0x40 + index) : mark(0x40 + roles.length - 1, Buffer.from(role));
};

function message(api: Api, node: Node): Buffer {
  const key = api === "gemini" ? "parts" : "content";
  const keys = api === "responses" ? ["content", "output"] : [key];
  const role = node.members.get("role");
  const absent = api === "gemini" ? roleMark("user") : mark(0x40);
  const head = role === undefined ? absent : roleMark(role.text);
  const body = keys.map((name) => messageContent(node.members.get(name)));
  return Buffer.concat([
    head,
    ...memberMarks(node.members, ["role", ...keys, "cache_control", "id", "status"]),
    ...body,
  ]);
}

function messages(api: Api, node: Node | undefined): Buffer {
  const bare = api === "completions" || api === "embeddings";
  const text = (of: Node) => Buffer.concat([bare ? mark(0x40) : roleMark("user"), element(of)]);
  if (node?.kind === "string") return text(node);
  if (node?.kind !== "array") return Buffer.alloc(0);
  if (node.items.some((item) => item.kind === "number")) return mark(0x40, mark(2, canonicalValue(node.raw)));
  return Buffer.concat(
    node.items.map((item) => {
      if (item.kind === "string") return text(item);
      if (item.kind === "array") return mark(0x40, mark(2, canonicalValue(item.raw)));
      return item.kind === "object" ? message(api, item) : Buffer.alloc(0);
    }),
  );
}

function system(api: Api, doc: Node): Buffer {
  const names: Partial<Record<Api, string[]>> = {
    responses: ["instructions"],
    anthropic: ["system"],
    gemini: ["systemInstruction", "system_instruction"],
  };
  const node = (names[api] ?? []).map((name) => doc.members.get(name)).find((found) => found !== undefined);
  if (node === undefined || !["string", "array", "object"].includes(node.kind)) return Buffer.alloc(0);
  if (node.kind === "object") return Buffer.concat([roleMark("system"), messageContent(node.members.get("parts"))]);
  return Buffer.concat([roleMark("system"), content(node)]);
}

function tools(tag: number, node: Node | undefined): Buffer {
  const none = node === undefined || node.kind === "null" || node.kind === "literal";
  if (none || (node.kind === "array" && node.items.length === 0)) return Buffer.alloc(0);
  return mark(tag, canonicalValue(node.raw));
}

const messageKey = { chat: "messages", completions: "prompt", responses: "input", embeddings: "input" } as const;

/** Canonical prompt of a body. */
export function canonical(api: Api, json: string): Buffer {
  const doc = parse(json);
  const key = api === "anthropic" ? "messages" : api === "gemini" ? "contents" : messageKey[api];
  return Buffer.concat([
    tools(4, doc.members.get("tools")),
    tools(5, doc.members.get("functions")),
    system(api, doc),
    messages(api, doc.members.get(key)),
  ]);
}

export interface Chain {
  hashes: bigint[];
  bytes: number;
  /** Hash of all there is, when there is no complete block. */
  tail: bigint;
}

export function chainOf(text: Buffer, salt: string, model: string): Chain {
  const hashes: bigint[] = [];
  let seed = hash(Buffer.from(model), hash(Buffer.from(salt), 0x70726f6d7074n));
  const blocks = Math.min(Math.floor(text.length / 256), 4096);
  for (let i = 0; i < blocks; i++) {
    seed = hash(text.subarray(i * 256, (i + 1) * 256), seed);
    hashes.push(seed);
  }
  const rest = blocks === 4096 ? Buffer.alloc(0) : text.subarray(blocks * 256);
  return { hashes, bytes: blocks * 256 + rest.length, tail: hash(rest, seed) };
}
