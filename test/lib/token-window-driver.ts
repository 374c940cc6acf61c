/** filters/lib/token-window on Node: one window and one meter at a time. Times are ms since 1970, amounts are plain numbers. */
import { readFileSync } from "node:fs";
import { type Admission, periods, type WindowShape } from "./token-window-reference.ts";

interface Exports {
  memory: WebAssembly.Memory;
  _initialize(): void;
  textAt(): number;
  open(
    amount: bigint,
    period: number,
    rolling: boolean,
    offsetSeconds: number,
    granted: boolean,
    zoneLength: number,
  ): number;
  setAmount(amount: bigint): void;
  setLease(lease: bigint): void;
  meterAt(): number;
  reserve(now: bigint, want: bigint): bigint;
  reserveOf(now: bigint, want: bigint, amount: bigint): bigint;
  admittedAt(): bigint;
  settle(now: bigint, admittedAt: bigint, reserved: bigint, actual: bigint): void;
  used(now: bigint): bigint;
  remaining(now: bigint): bigint;
  remainingOf(now: bigint, amount: bigint): bigint;
  resetAt(now: bigint): bigint;
  availableAt(now: bigint, want: bigint): bigint;
  availableOf(now: bigint, want: bigint, amount: bigint): bigint;
  shortfall(now: bigint, want: bigint, amount: bigint): bigint;
  askAhead(now: bigint): bigint;
  asking(): bigint;
  grant(now: bigint, askedAt: bigint, units: bigint, asking: bigint, notBefore: bigint): number;
  emptyAt(now: bigint): bigint;
}

export const wasm = new WebAssembly.Instance(
  new WebAssembly.Module(readFileSync(new URL("../../build/test-wasm/lib-token-window.wasm", import.meta.url))),
  { env: { proxy_log: () => 0 } },
).exports as unknown as Exports;
wasm._initialize();

let size = 0;

/** Begins a window with an untouched meter; returns the bytes of the meter. */
export function open({
  amount,
  period,
  rolling,
  offsetSeconds,
  zone,
  granted = false,
  lease = 0,
}: WindowShape): number {
  const text = Buffer.from(zone?.posix ?? "");
  new Uint8Array(wasm.memory.buffer, wasm.textAt(), text.length).set(text);
  size = wasm.open(BigInt(amount), periods.indexOf(period), rolling, offsetSeconds, granted, text.length);
  wasm.setLease(BigInt(lease));
  return size;
}

/** The bytes of the meter, in the VM. */
export const meter = () => new Uint8Array(wasm.memory.buffer, wasm.meterAt(), size);

export const reserve = (now: number, want: number) => Number(wasm.reserve(BigInt(now), BigInt(want)));
export const reserveOf = (now: number, want: number, amount: number) =>
  Number(wasm.reserveOf(BigInt(now), BigInt(want), BigInt(amount)));
export const used = (now: number) => Number(wasm.used(BigInt(now)));
export const remaining = (now: number) => Number(wasm.remaining(BigInt(now)));
export const remainingOf = (now: number, amount: number) => Number(wasm.remainingOf(BigInt(now), BigInt(amount)));
export const resetAt = (now: number) => Number(wasm.resetAt(BigInt(now)));
export const emptyAt = (now: number) => Number(wasm.emptyAt(BigInt(now)));
export const availableAt = (now: number, want: number) => Number(wasm.availableAt(BigInt(now), BigInt(want)));
export const availableOf = (now: number, want: number, amount: number) =>
  Number(wasm.availableOf(BigInt(now), BigInt(want), BigInt(amount)));
export const settle = (now: number, { at, reserved }: Admission, actual: number) =>
  wasm.settle(BigInt(now), BigInt(at), BigInt(reserved), BigInt(actual));
export const shortfall = (now: number, want: number, amount: number) =>
  Number(wasm.shortfall(BigInt(now), BigInt(want), BigInt(amount)));
export const askAhead = (now: number) => Number(wasm.askAhead(BigInt(now)));
export const asking = () => Number(wasm.asking());
export const grant = (now: number, askedAt: number, units: number, asking = 0, notBefore = 0) =>
  wasm.grant(BigInt(now), BigInt(askedAt), BigInt(units), BigInt(asking), BigInt(notBefore)) !== 0;

/** Asks something of the meter as it is, and leaves it so. */
export function aside<T>(ask: () => T): T {
  const before = meter().slice();
  const answer = ask();
  meter().set(before);
  return answer;
}
