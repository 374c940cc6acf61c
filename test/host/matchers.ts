/** Vitest matchers for streams. Import this file for its effect: `import "../host/matchers.ts"`. */
import { expect } from "vitest";
import { memoryGrowth } from "./flat-memory.ts";
import type { Stream } from "./stream.ts";
import type { Vm } from "./vm.ts";

interface HostMatchers<R> {
  /** The stream is not paused in that direction (default: request). */
  toContinue(way?: "request" | "response"): R;
  toPause(way?: "request" | "response"): R;
  toHaveSentLocalResponse(status?: number, body?: string | RegExp): R;
  /** The message that came out behind the filter has the header (request: at the upstream; response: at the client). */
  toHaveHeader(way: "request" | "response", name: string, value?: string): R;
  /** `expect(vm).toHaveFlatMemory(10_000, () => ...)` */
  toHaveFlatMemory(rounds: number, once: (round: number) => void): R;
}

declare module "vitest" {
  // biome-ignore lint/suspicious/noExplicitAny: merging needs the type parameter of vitest's own declaration
  interface Matchers<T = any> extends HostMatchers<T> {}
}

expect.extend({
  toContinue(stream: Stream, way: "request" | "response" = "request") {
    return {
      pass: !stream.paused[way],
      message: () => `expected the ${way} ${this.isNot ? "to be paused" : "not to be paused"}`,
    };
  },
  toPause(stream: Stream, way: "request" | "response" = "request") {
    return {
      pass: stream.paused[way],
      message: () => `expected the ${way} ${this.isNot ? "not to be paused" : "to be paused"}`,
    };
  },
  toHaveSentLocalResponse(stream: Stream, status?: number, body?: string | RegExp) {
    const reply = stream.localReply;
    const text = reply ? new TextDecoder().decode(reply.body) : "";
    const sameBody = body === undefined || (typeof body === "string" ? text === body : body.test(text));
    const pass = reply !== undefined && (status === undefined || reply.status === status) && sameBody;
    const seen = reply ? `${reply.status} (${reply.details}) ${text}` : "none";
    return {
      pass,
      message: () => `expected ${this.isNot ? "no " : ""}local response ${status ?? ""} ${body ?? ""}, got ${seen}`,
    };
  },
  toHaveHeader(stream: Stream, way: "request" | "response", name: string, value?: string) {
    const headers = (way === "request" ? stream.upstream : stream.downstream).headers;
    const values = headers?.all(name) ?? [];
    const pass = value === undefined ? values.length > 0 : values.includes(value);
    return {
      pass,
      message: () =>
        `expected the ${way} ${this.isNot ? "without" : "with"} ${name}: ${value ?? "(any)"}, got ${JSON.stringify(headers?.pairs() ?? null)}`,
    };
  },
  toHaveFlatMemory(vm: Vm, rounds: number, once: (round: number) => void) {
    const pages = memoryGrowth(vm, rounds, once);
    return { pass: pages === 0, message: () => `memory grew by ${pages} pages of 64 KiB over ${rounds} rounds` };
  },
});
