/**
 * The last good endpoints of every service, kept in the state store for the next start of this server: a source that is down then does not leave services without
 * endpoints. Losing one of these records costs nothing while sources answer, so no failure here stops anything.
 */
import { createHash } from "node:crypto";
import { promisify } from "node:util";
import { gunzipSync, gzip } from "node:zlib";
import type { Logger } from "../log.ts";
import type { RecordStore } from "../state/records/store.ts";
import { NO_MAPPING, type RawEndpoint, readEndpoints, sameEndpoints } from "./endpoint.ts";
import { COMPRESS_BYTES, MAX_ANSWER_BYTES, MAX_REMEMBERED_BYTES } from "./limits.ts";
import type { DiscoveredEndpoint, EndpointHealth } from "./source.ts";

export interface RememberedEndpoints {
  readonly endpoints: readonly DiscoveredEndpoint[];
  /** When they were written, ms since the epoch. */
  readonly at: number;
}

export interface EndpointMemoryOptions {
  readonly store: Pick<RecordStore, "get" | "put" | "delete">;
  /** ms since the epoch. */
  readonly now: () => number;
  readonly log: Logger;
}

interface Unwritten {
  readonly source: string;
  readonly service: string;
  readonly endpoints: readonly DiscoveredEndpoint[];
}

const compress = promisify(gzip);

const PREFIX = "endpoints/";
const MAX_KEY = 200;
const GZIP = "gzip:";
const HEALTHS: readonly EndpointHealth[] = ["healthy", "unhealthy", "draining", "degraded", "unknown"];

export class EndpointMemory {
  readonly #options: EndpointMemoryOptions;
  /** What is to be written next, by key; undefined to delete. The newest wins. */
  readonly #next = new Map<string, Unwritten | undefined>();
  #writing: Promise<void> | undefined;

  constructor(options: EndpointMemoryOptions) {
    this.#options = options;
  }

  /** What is remembered; undefined for nothing, or nothing that can be read. Never rejects. */
  async load(source: string, service: string): Promise<RememberedEndpoints | undefined> {
    const { store, log } = this.#options;
    try {
      const record = await store.get(recordKey(source, service));
      return record && decode(record.value, source, service);
    } catch (error) {
      log("warn", "remembered endpoints cannot be read", { source, service, error: messageOf(error) });
      return undefined;
    }
  }

  /** Writes in the background; of several for one service the newest. */
  save(source: string, service: string, endpoints: readonly DiscoveredEndpoint[]): void {
    this.#next.set(recordKey(source, service), { source, service, endpoints });
    this.#writing ??= this.#write();
  }

  forget(source: string, service: string): void {
    this.#next.set(recordKey(source, service), undefined);
    this.#writing ??= this.#write();
  }

  /** Resolves when everything is written that was to be, or could not be. */
  async settled(): Promise<void> {
    await this.#writing;
  }

  async #write(): Promise<void> {
    for (const [key, value] of this.#next) {
      this.#next.delete(key);
      await this.#put(key, value).catch((error: unknown) => {
        this.#options.log("warn", "endpoints cannot be remembered", { key, error: messageOf(error) });
      });
    }
    this.#writing = undefined;
  }

  async #put(key: string, next: Unwritten | undefined): Promise<void> {
    const { store, log, now } = this.#options;
    if (next === undefined) {
      await store.delete(key);
      return;
    }
    // Replicas of this server write the same: one of them is enough.
    const record = await store.get(key);
    const found = record && remembered(record.value, next);
    if (found !== undefined && sameEndpoints(found.endpoints, next.endpoints)) return;
    const text = await encode(next, now());
    if (text.length <= MAX_REMEMBERED_BYTES) await store.put(key, text);
    else log("warn", "too many endpoints to be remembered", { key, bytes: text.length });
  }
}

/** As {@link decode}; a record that cannot be read is one to be written over. */
function remembered(value: string, { source, service }: Unwritten): RememberedEndpoints | undefined {
  try {
    return decode(value, source, service);
  } catch {
    return undefined;
  }
}

/** `endpoints/NAMESPACE/SOURCE/SERVICE`; what a key cannot hold, or not in this length, becomes a hash. */
export function recordKey(source: string, service: string): string {
  const plain = `${PREFIX}${source}/${service}`;
  if (/^[a-z0-9/.-]+$/.test(plain) && plain.length <= MAX_KEY) return plain;
  return `${PREFIX}_/${createHash("sha256").update(plain).digest("hex")}`;
}

async function encode({ source, service, endpoints }: Unwritten, at: number): Promise<string> {
  const list = endpoints.map(({ labels, ports, ...rest }) => ({
    ...rest,
    ...(ports && { ports: [...ports] }),
    labels: [...labels],
  }));
  const text = JSON.stringify({ source, service, at, endpoints: list });
  // Off this thread: it answers Envoys.
  return text.length <= COMPRESS_BYTES ? text : GZIP + (await compress(text)).toString("base64");
}

/** The store is shared with others and with former versions: what is read is checked as if it came from a registry. */
function decode(value: string, source: string, service: string): RememberedEndpoints | undefined {
  const text = value.startsWith(GZIP)
    ? gunzipSync(Buffer.from(value.slice(GZIP.length), "base64"), { maxOutputLength: MAX_ANSWER_BYTES }).toString()
    : value;
  const parsed: unknown = JSON.parse(text);
  if (!isObject(parsed) || parsed.source !== source || parsed.service !== service) return undefined;
  const { at, endpoints } = parsed;
  if (typeof at !== "number" || !Number.isFinite(at) || !Array.isArray(endpoints)) return undefined;
  const raw = endpoints.map(rawOf).filter((each) => each !== undefined);
  // A part of a damaged list is not the last good one.
  if (raw.length < endpoints.length) return undefined;
  return { at, endpoints: readEndpoints(raw, NO_MAPPING).endpoints };
}

function rawOf(value: unknown): RawEndpoint | undefined {
  if (!isObject(value)) return undefined;
  const { id, address, port, ports, weight, health, locality, labels } = value;
  const known = HEALTHS.find((each) => each === health);
  if (typeof id !== "string" || typeof address !== "string" || typeof port !== "number" || known === undefined)
    return undefined;
  return {
    id,
    address,
    port,
    ports: new Map(pairs(ports).filter((pair): pair is [string, number] => typeof pair[1] === "number")),
    weight: typeof weight === "number" ? weight : 1,
    health: known,
    locality: isObject(locality) ? texts(locality) : undefined,
    labels: pairs(labels).filter((pair): pair is [string, string] => typeof pair[1] === "string"),
  };
}

function pairs(value: unknown): [string, unknown][] {
  if (!Array.isArray(value)) return [];
  return value.filter((each): each is [string, unknown] => Array.isArray(each) && typeof each[0] === "string");
}

function texts(value: Readonly<Record<string, unknown>>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(value).filter((pair): pair is [string, string] => typeof pair[1] === "string"),
  );
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message.slice(0, 300) : String(error).slice(0, 300);
}
