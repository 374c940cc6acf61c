/** `tokenmesh.answers.v1.Answers` behind an Envoy cluster of the test host: what one keeps for all Envoys, and what it has been told to forget. */
import {
  decodeGet,
  decodePurges,
  decodePut,
  encodeFound,
  encodePurges,
  encodeStored,
} from "../../xds-server/state/answers/protocol.ts";
import { type Purge, PurgeKind } from "../../xds-server/state/answers/purge.ts";
import { nameHash } from "../../xds-server/state/answers/xxhash64.ts";
import type { GrpcCall, GrpcOutcome } from "../host/callouts.ts";
import type { ProxyWasmHost } from "../host/index.ts";

export type ServiceMood = "answer" | "fail" | "hold" | "nonsense";

/** Who is to be forgotten. */
export type Forgotten = { key: string } | { model: string } | { tenant: string } | "all";

export class AnswersDouble {
  mood: ServiceMood = "answer";
  /** It gives nothing that was purged. */
  forgets = true;
  /** By the 32 digits of the key. */
  readonly entries = new Map<string, Buffer>();
  readonly calls = { Get: 0, Put: 0, Purges: 0 };
  /** What was purged, and when a filter that still runs was told, in ms; undefined: not yet. */
  readonly purges: (Purge & { toldAt?: number })[] = [];
  #epoch = "0100000000000000";
  /** Calls that wait for a purge. */
  readonly #listening: GrpcCall[] = [];
  readonly #host: ProxyWasmHost;

  constructor(host: ProxyWasmHost, cluster = "answers") {
    this.#host = host;
    host.callouts.onGrpcCall(cluster, (call) => this.#answer(call));
  }

  get now(): number {
    return Number(this.#host.clock.realtimeNs / 1_000_000n);
  }

  /** Told at once to who listens. */
  purge(what: Forgotten, at = this.now): void {
    const [kind, hash] =
      what === "all"
        ? [PurgeKind.all, ""]
        : "key" in what
          ? [PurgeKind.key, what.key]
          : "model" in what
            ? [PurgeKind.model, nameHash(what.model)]
            : [PurgeKind.tenant, nameHash(what.tenant)];
    this.purges.push({ kind, hash, at, sequence: this.purges.length + 1 });
    for (const call of this.#listening.splice(0)) if (!call.done) call.respond({ messages: [this.#news(call)] });
    this.#host.turn();
  }

  /** It has lost its purges, as one does that keeps them in memory. */
  restart(): void {
    this.#epoch = `${(Number.parseInt(this.#epoch.slice(0, 2), 16) + 1).toString(16).padStart(2, "0")}00000000000000`;
    this.purges.length = 0;
    this.entries.clear();
  }

  /** A poll that is answered though nothing has happened. */
  flush(): void {
    for (const call of this.#listening.splice(0)) if (!call.done) call.respond({ messages: [this.#news(call)] });
  }

  #isDead(address: string, value: Buffer): boolean {
    if (value.length < 64) return false;
    const [storedAt, tenant, model] = [
      Number(value.readBigInt64LE(8)),
      value.toString("hex", 24, 32),
      value.toString("hex", 32, 40),
    ];
    const named = {
      [PurgeKind.all]: "",
      [PurgeKind.key]: address,
      [PurgeKind.model]: model,
      [PurgeKind.tenant]: tenant,
    };
    return this.purges.some(({ kind, hash, at }) => storedAt <= at && hash === named[kind]);
  }

  #news(call: GrpcCall): Buffer {
    const { epoch, since } = decodePurges(call.sent[0] ?? new Uint8Array());
    const from = epoch === this.#epoch ? since : 0;
    const { root } = call;
    const hears = root.vm.failure === undefined && root.vm.contexts.get(root.id) === root;
    for (const purge of this.purges) if (hears) purge.toldAt ??= this.now;
    return encodePurges({
      epoch: this.#epoch,
      sequence: this.purges.length,
      now: this.now,
      purges: this.purges.slice(from),
    });
  }

  #answer(call: GrpcCall): GrpcOutcome {
    const message = call.sent[0] ?? new Uint8Array();
    const method = call.method.split("/").at(-1) as keyof typeof this.calls;
    this.calls[method]++;
    if (this.mood === "fail") return { status: 14, message: "down" };
    if (this.mood === "hold") return "hold";
    if (this.mood === "nonsense") return { messages: [new Uint8Array([0x12, 0xff, 0x01])] };
    if (method === "Get") {
      const { key } = decodeGet(message);
      const entry = this.entries.get(key);
      const found = entry !== undefined && this.forgets && this.#isDead(key, entry) ? undefined : entry;
      return { messages: [found === undefined ? new Uint8Array() : encodeFound(0, found)] };
    }
    if (method === "Put") {
      const { key, value } = decodePut(message);
      this.entries.set(key, Buffer.from(value));
      return { messages: [encodeStored(true)] };
    }
    const { epoch, since } = decodePurges(message);
    if (epoch === this.#epoch && since === this.purges.length) {
      this.#listening.push(call);
      return "hold";
    }
    // Whoever asked may be gone when the answer comes.
    this.#host.post(() => {
      if (!call.done) call.respond({ messages: [this.#news(call)] });
    });
    return "hold";
  }
}
