/**
 * The measurement: one connection per Envoy, one request at a time, every arm once per round. The order moves on by one each round, so that a slow moment of the
 * machine hits all arms alike.
 */
import { Agent, request } from "node:http";
import { type RunningArm, rotated } from "../envoy/measure.ts";
import type { Profile } from "./profiles.ts";

/** One request. */
export interface Sample {
  /** From writing the request to the first byte of the answer's body, at the client, in µs. */
  readonly micros: number;
  /** What the upstream itself waited of it, in µs. */
  readonly upstreamMicros: number;
}

export interface Measurement {
  readonly arms: readonly RunningArm[];
  readonly profile: Profile;
  /** Rounds that count. */
  readonly requests: number;
  readonly body: string;
}

/** By arm, in the order of `arms`; samples at the same index are of the same round. Throws on the first request that fails. */
export async function measure({ arms, profile, requests, body }: Measurement): Promise<Sample[][]> {
  const lanes = arms.map(({ address }) => ({ client: client(address, body, profile), samples: [] as Sample[] }));
  try {
    for (let round = 0; round < profile.warmUp + requests; round++) {
      for (const { client, samples } of rotated(lanes, round)) {
        const sample = await client.ask();
        if (round >= profile.warmUp) samples.push(sample);
      }
    }
    return lanes.map(({ samples }) => samples);
  } finally {
    for (const { client } of lanes) client.close();
  }
}

/** One keep-alive connection; every answer is read to its end before the next request. */
function client(address: string, body: string, profile: Profile): { ask(): Promise<Sample>; close(): void } {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  const url = `http://${address}/v1/chat/completions`;
  const headers = {
    "content-type": "application/json",
    "content-length": Buffer.byteLength(body),
    "x-bench-answer": profile.answer,
  };
  const ask = (): Promise<Sample> =>
    new Promise((resolve, reject) => {
      const start = process.hrtime.bigint();
      const outgoing = request(url, { method: "POST", headers, agent, timeout: 30_000 }, (answer) => {
        let micros: number | undefined;
        answer.on("data", () => {
          micros ??= Number(process.hrtime.bigint() - start) / 1_000;
        });
        answer.on("error", reject);
        answer.on("end", () => {
          const waited = answer.headers["x-first-micros"];
          if (answer.statusCode !== 200 || micros === undefined) {
            reject(new Error(`answer ${answer.statusCode} from ${address}`));
          } else if ((waited === undefined) !== (profile.answer === "sse")) {
            reject(new Error(`the upstream does not do what profile ${profile.name} asks for`));
          } else resolve({ micros, upstreamMicros: Number(waited ?? 0) });
        });
      });
      outgoing.on("timeout", () => outgoing.destroy(new Error(`no answer from ${address}`)));
      outgoing.on("error", reject);
      outgoing.end(body);
    });
  return { ask, close: () => agent.destroy() };
}
