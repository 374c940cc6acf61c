/**
 * Client of Envoy's admin interface. https://www.envoyproxy.io/docs/envoy/latest/operations/admin
 * Every request opens its own connection: a pooled one would turn a restart of Envoy into a stray ECONNRESET in a test.
 */
import { request } from "node:http";
import { EnvoyError } from "./errors.ts";

/** Figures of /memory, in bytes. */
export interface EnvoyMemory {
  readonly allocated: number;
  readonly heapSize: number;
  readonly pageheapUnmapped: number;
  readonly pageheapFree: number;
  readonly totalThreadCache: number;
  readonly totalPhysicalBytes: number;
}

interface ListenerStatus {
  readonly name: string;
  readonly local_address?: { readonly socket_address?: { readonly address: string; readonly port_value?: number } };
}

const timeoutMs = 10_000;
const maxAnswerBytes = 256 * 1024 * 1024;

export class AdminClient {
  /** `host:port` */
  readonly address: string;

  constructor(address: string) {
    this.address = address;
  }

  /** Base URL without a trailing slash. */
  get url(): string {
    return `http://${this.address}`;
  }

  /** Body of `GET path`; throws EnvoyError "admin_request_failed" for any status but 200. */
  get(path: string): Promise<string> {
    return this.#expect200("GET", path);
  }

  /** Body of `POST path`, which Envoy demands of everything that changes state. */
  post(path: string): Promise<string> {
    return this.#expect200("POST", path);
  }

  async json<T = unknown>(path: string): Promise<T> {
    return JSON.parse(await this.get(path)) as T;
  }

  /** Counters and gauges by name; `filter` is a regular expression (RE2) that Envoy applies. Histograms and texts are left out. */
  async stats(filter?: string): Promise<Map<string, number>> {
    const text = await this.get(filter === undefined ? "/stats" : `/stats?filter=${encodeURIComponent(filter)}`);
    return parseStats(text);
  }

  /** The whole configuration, endpoints included. */
  configDump(): Promise<{ configs: Record<string, unknown>[] }> {
    return this.json("/config_dump?include_eds");
  }

  /** True when the server is live: all static and first dynamic configuration is in, and workers run. */
  async ready(): Promise<boolean> {
    return (await this.#send("GET", "/ready")).status === 200;
  }

  /** Listener name -> `host:port`; a listener that is not bound yet is left out. */
  async listeners(): Promise<Map<string, string>> {
    const { listener_statuses: statuses = [] } = await this.json<{ listener_statuses?: ListenerStatus[] }>(
      "/listeners?format=json",
    );
    const bound = new Map<string, string>();
    for (const { name, local_address: local } of statuses) {
      const socket = local?.socket_address;
      if (socket?.port_value) bound.set(name, `${socket.address}:${socket.port_value}`);
    }
    return bound;
  }

  async memory(): Promise<EnvoyMemory> {
    const answer = await this.json<Record<string, string>>("/memory");
    const bytes = (key: string): number => Number(answer[key] ?? 0);
    return {
      allocated: bytes("allocated"),
      heapSize: bytes("heap_size"),
      pageheapUnmapped: bytes("pageheap_unmapped"),
      pageheapFree: bytes("pageheap_free"),
      totalThreadCache: bytes("total_thread_cache"),
      totalPhysicalBytes: bytes("total_physical_bytes"),
    };
  }

  async #expect200(method: "GET" | "POST", path: string): Promise<string> {
    const { status, body } = await this.#send(method, path);
    if (status === 200) return body;
    throw new EnvoyError(
      "admin_request_failed",
      `${method} ${this.url}${path} answered ${status}: ${body.slice(0, 500)}`,
    );
  }

  #send(method: "GET" | "POST", path: string): Promise<{ status: number; body: string }> {
    return new Promise((resolve, reject) => {
      const fail = (cause: Error): void =>
        reject(new EnvoyError("admin_request_failed", `${method} ${this.url}${path}: ${cause.message}`, { cause }));
      const outgoing = request(`${this.url}${path}`, { method, agent: false, timeout: timeoutMs }, (answer) => {
        const chunks: Buffer[] = [];
        let size = 0;
        answer.on("data", (chunk: Buffer) => {
          size += chunk.length;
          if (size > maxAnswerBytes) outgoing.destroy(new Error(`answer above ${maxAnswerBytes} bytes`));
          else chunks.push(chunk);
        });
        answer.on("error", fail);
        answer.on("end", () =>
          resolve({ status: answer.statusCode ?? 0, body: Buffer.concat(chunks).toString("utf8") }),
        );
      });
      outgoing.on("timeout", () => outgoing.destroy(new Error(`no answer for ${timeoutMs} ms`)));
      outgoing.on("error", fail);
      outgoing.end();
    });
  }
}

/** Reads the text form of /stats: `name: integer` per line; anything else (histograms, text readouts) is skipped. */
export function parseStats(text: string): Map<string, number> {
  const stats = new Map<string, number>();
  for (const line of text.split("\n")) {
    const colon = line.lastIndexOf(": ");
    const value = colon < 0 ? "" : line.slice(colon + 2);
    if (/^\d+$/.test(value)) stats.set(line.slice(0, colon), Number(value));
  }
  return stats;
}
