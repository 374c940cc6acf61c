/** `POST /cache/purge` of the admin API: `{"key"}`, `{"model"}`, `{"tenant"}` or `{"all": true}`. Who may is the API's matter. */
import type { IncomingMessage } from "node:http";
import type { Logger } from "../../log.ts";
import { CACHE_ERRORS, CacheError } from "./errors.ts";
import { MAX_BODY_BYTES, MAX_NAME_BYTES } from "./limits.ts";
import { ALL, type Purge, PurgeKind, type PurgeTarget } from "./purge.ts";
import { StoreError } from "./store.ts";
import { nameHash } from "./xxhash64.ts";

export interface PurgeApiContext {
  /** @throws StoreError */
  readonly purge: (target: PurgeTarget) => Promise<Purge>;
  readonly log: Logger;
}

export interface JsonAnswer {
  readonly status: number;
  readonly value: object;
}

/** Never rejects. */
export async function answerPurge(request: IncomingMessage, context: PurgeApiContext): Promise<JsonAnswer> {
  try {
    const body = await readBody(request);
    const { target, shown } = parseTarget(body);
    const { sequence, at } = await context.purge(target);
    context.log("info", "cache purged", { ...shown, sequence, from: request.socket.remoteAddress });
    return { status: 200, value: { sequence, at } };
  } catch (error) {
    if (error instanceof CacheError) return failure(error);
    if (error instanceof StoreError) return failure(new CacheError("store_unavailable", error.message));
    context.log("error", "a purge failed", { error: String(error) });
    return { status: 500, value: { error: { code: "internal", message: "internal error; see the server's log" } } };
  }
}

function failure({ code, message }: CacheError): JsonAnswer {
  const { status, remedy } = CACHE_ERRORS[code];
  return { status, value: { error: { code, message, remedy } } };
}

async function readBody(request: IncomingMessage): Promise<unknown> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > MAX_BODY_BYTES) throw new CacheError("body_too_large", `the body has more than ${MAX_BODY_BYTES} bytes`);
    chunks.push(chunk);
  }
  try {
    return JSON.parse(Buffer.concat(chunks).toString("utf8")) as unknown;
  } catch {
    throw new CacheError("invalid_body", "the body is no JSON");
  }
}

/** @throws CacheError */
export function parseTarget(body: unknown): { readonly target: PurgeTarget; readonly shown: object } {
  const members = typeof body === "object" && body !== null && !Array.isArray(body) ? Object.entries(body) : [];
  const [[name, value] = ["", undefined], ...others] = members as readonly (readonly [string, unknown])[];
  if (name === "" || others.length > 0) throw new CacheError("invalid_body", "the body has not one member");
  const shown = { [name]: value };
  if (name === "all" && value === true) return { target: ALL, shown };
  if (name === "key" && typeof value === "string" && /^[0-9a-fA-F]{32}$/.test(value))
    return { target: { kind: PurgeKind.key, hash: value.toLowerCase() }, shown };
  if ((name === "model" || name === "tenant") && typeof value === "string" && value !== "") {
    if (Buffer.byteLength(value) <= MAX_NAME_BYTES)
      return { target: { kind: PurgeKind[name], hash: nameHash(value) }, shown };
  }
  throw new CacheError("invalid_body", "the body names nothing that can be purged");
}
