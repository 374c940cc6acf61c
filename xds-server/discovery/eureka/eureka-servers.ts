/** The addresses of one Eureka: the one that answered last is asked first, the others when it does not. */
import type { EurekaDiscovery } from "../../config/discovery-model.ts";
import { DiscoveryError } from "../errors.ts";
import { ANSWER_TIMEOUT_MS } from "../limits.ts";
import { baseOf, type JsonAnswer, type JsonClient, refusal } from "../registry-client/index.ts";
import { readSecret } from "../secret.ts";
import { type Applications, readApplications } from "./applications.ts";

export interface EurekaAnswer extends Applications {
  /** Only the server that was asked before knows what has changed since then: another one's first answer has to be a full one. */
  readonly delta: boolean;
  /** It is not the server that answered before. */
  readonly moved: boolean;
}

export class EurekaServers {
  readonly #spec: EurekaDiscovery;
  readonly #client: JsonClient;
  readonly #answerMs: number;
  /** Of the address that answered last. */
  #current = 0;
  /** Servers may be set to have no deltas (disableDelta): then every question is for everything. */
  #deltas = true;

  constructor(spec: EurekaDiscovery, client: JsonClient, answerMs = ANSWER_TIMEOUT_MS) {
    this.#spec = spec;
    this.#client = client;
    this.#answerMs = answerMs;
  }

  get haveDeltas(): boolean {
    return this.#deltas;
  }

  /** @throws DiscoveryError of the last address when none answers well */
  async ask(wantDelta: boolean, signal: AbortSignal): Promise<EurekaAnswer> {
    const { addresses } = this.#spec;
    let last = new DiscoveryError("TM_DISCOVERY_UNREACHABLE", "no address");
    for (let tried = 0; tried < addresses.length && !signal.aborted; tried++) {
      const server = (this.#current + tried) % addresses.length;
      try {
        const answer = await this.#askOne(addresses[server] as string, wantDelta && tried === 0, signal);
        const moved = server !== this.#current;
        this.#current = server;
        return { ...answer, moved };
      } catch (error) {
        if (!(error instanceof DiscoveryError)) throw error;
        last = error;
      }
    }
    throw last;
  }

  async #askOne(address: string, wantDelta: boolean, signal: AbortSignal): Promise<Omit<EurekaAnswer, "moved">> {
    const delta = wantDelta && this.#deltas;
    const url = new URL(`${baseOf(address)}/apps${delta ? "/delta" : ""}`);
    const answer = await this.#client.get({ url, headers: this.#headers(), timeoutMs: this.#answerMs, signal });
    if (delta && saysNoDeltas(answer)) {
      this.#deltas = false;
      return this.#askOne(address, false, signal);
    }
    if (answer.status !== 200) throw refusal(url, answer, url.pathname);
    return { ...readApplications(answer.body), delta };
  }

  /** @throws DiscoveryError TM_DISCOVERY_SECRET */
  #headers(): Readonly<Record<string, string>> {
    const { username = "", password } = this.#spec;
    if (username === "" && password === undefined) return {};
    const credentials = `${username}:${password === undefined ? "" : readSecret(password)}`;
    return { authorization: `Basic ${Buffer.from(credentials).toString("base64")}` };
  }
}

function saysNoDeltas({ status }: JsonAnswer): boolean {
  return status === 403 || status === 404;
}
