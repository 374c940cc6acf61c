/** filters/lib/time-zone and the calendar's windows on Node: one zone at a time. Times are ms since 1970. */
import { readFileSync } from "node:fs";

interface Exports {
  memory: WebAssembly.Memory;
  _initialize(): void;
  allocate(size: number): number;
  parse(length: number): number;
  fixed(seconds: number): void;
  faultAt(): number;
  faultLength(): number;
  identify(): void;
  offsetAt(time: bigint): bigint;
  wall(time: bigint): bigint;
  reaches(local: bigint): bigint;
  start(period: number, time: bigint): bigint;
  end(period: number, start: bigint): bigint;
  startSum(period: number, time: bigint, step: bigint, rounds: number): bigint;
  collect(): void;
}

export const wasm = new WebAssembly.Instance(
  new WebAssembly.Module(readFileSync(new URL("../../build/test-wasm/lib-time-zone.wasm", import.meta.url))),
  { env: { proxy_log: () => 0 } },
).exports as unknown as Exports;
wasm._initialize();

const said = () => Buffer.from(wasm.memory.buffer, wasm.faultAt(), wasm.faultLength() * 2).toString("utf16le");

/** Makes a POSIX time zone the current one; what is wrong with it, or undefined. */
export function parse(text: string): string | undefined {
  const bytes = Buffer.from(text);
  const at = wasm.allocate(bytes.length);
  new Uint8Array(wasm.memory.buffer, at, bytes.length).set(bytes);
  const ok = wasm.parse(bytes.length) !== 0;
  wasm.collect();
  return ok ? undefined : said();
}

/** The current zone is one that is right. */
export function use(text: string): void {
  const fault = parse(text);
  if (fault !== undefined) throw new Error(`${text} ${fault}`);
}

export const fixed = (seconds: number) => wasm.fixed(seconds);

export function identity(): string {
  wasm.identify();
  return said();
}

export type LongPeriod = "day" | "month";
const number: Record<LongPeriod, number> = { day: 3, month: 4 };

export const offsetAt = (time: number) => Number(wasm.offsetAt(BigInt(time)));
export const start = (period: LongPeriod, time: number) => Number(wasm.start(number[period], BigInt(time)));
export const end = (period: LongPeriod, begin: number) => Number(wasm.end(number[period], BigInt(begin)));

/** The window that a time is in. */
export function windowOf(period: LongPeriod, time: number): { start: number; end: number } {
  const begin = start(period, time);
  return { start: begin, end: end(period, begin) };
}
