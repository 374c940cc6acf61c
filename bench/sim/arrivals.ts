/** Turns traffic that is data into requests at their instants. Independent of the policy, but for closed loops, which wait for their answers. */
import type { EventQueue } from "./event-queue.ts";
import { hash53, Random, Zipf } from "./random.ts";
import { BLOCK_TOKENS, chainOf, type Request, type Segment } from "./request.ts";
import type { Bursts, ChatTraffic, Documents, Length, OpenTraffic, Traffic } from "./traffic.ts";

/** Sends a request on its way; `onDone` is called when its answer is complete. */
export type Send = (request: Request, onDone?: () => void) => void;

interface Context {
  readonly queue: EventQueue;
  readonly seed: number;
  readonly workers: number;
  readonly send: Send;
}

export function startTraffic(traffics: readonly Traffic[], context: Context): void {
  const ids = { next: 0 };
  for (const [index, traffic] of traffics.entries()) {
    const random = new Random(context.seed, `traffic ${index}`);
    const source = new Source(context, ids, random, index);
    if (traffic.kind === "open") source.open(traffic);
    else source.chat(traffic);
  }
}

export function drawLength(length: Length, random: Random): number {
  if (typeof length === "number") return length;
  const value =
    "mean" in length
      ? Math.min(random.logNormal(length.mean, length.sigma), length.max)
      : random.logUniform(length.from, length.to);
  return Math.max(1, Math.round(value));
}

class Source {
  private readonly workerOf: Random;
  private owners = 0;

  constructor(
    private readonly context: Context,
    private readonly ids: { next: number },
    private readonly random: Random,
    private readonly index: number,
  ) {
    this.workerOf = new Random(context.seed, `workers ${index}`);
  }

  open(traffic: OpenTraffic): void {
    const { queue } = this.context;
    const { random } = this;
    const zipf = new Zipf(traffic.apps, traffic.exponent);
    const systems = this.systems(traffic.apps, traffic.system);
    const { draw, lengths } = this.documents(traffic.documents);
    // A user who always sends the same prompt needs a length that stays.
    const fixed = new Map<number, number>();
    const arrive = (): void => {
      const app = zipf.draw(random);
      const session = hash53(this.owner("user", app), random.below(traffic.users));
      let input = drawLength(traffic.input, random);
      if (traffic.prompts === "fixed") {
        input = fixed.get(session) ?? input;
        fixed.set(session, input);
      }
      const fresh = this.fresh();
      const asker = traffic.prompts === "fixed" ? session : fresh;
      const owner = this.owner("app", app);
      const prompt = [{ owner, end: systems[app] ?? 0 }];
      // What a document is to a cache depends on all that is in front of it.
      for (const document of draw()) prompt.push(behind(prompt.at(-1), document, lengths[document] ?? 0));
      prompt.push({ owner: asker, end: (prompt.at(-1)?.end ?? 0) + input });
      this.send({
        prompt,
        answerOwner: fresh,
        output: drawLength(traffic.output, random),
        session,
        firstMessage: asker,
      });
    };
    const next = arrivalTimes(traffic.rate, traffic.bursts, random);
    const schedule = (): void => {
      queue.at(next(), () => {
        arrive();
        schedule();
      });
    };
    schedule();
  }

  chat(traffic: ChatTraffic): void {
    const { queue } = this.context;
    const zipf = new Zipf(traffic.apps, traffic.exponent);
    const systems = this.systems(traffic.apps, traffic.system);
    const { turns } = traffic;
    for (let index = 0; index < traffic.sessions; index++) {
      // Each has its own stream, so that the order of answers does not change what the others say.
      const random = new Random(this.context.seed, `session ${this.index} ${index}`);
      let conversations = 0;
      const converse = (): void => {
        const app = zipf.draw(random);
        const session = hash53(this.owner("conversation", index), conversations++);
        let left = typeof turns === "number" ? random.geometric(turns) : random.between(turns.from, turns.to);
        let tokens = systems[app] ?? 0;
        const system = { owner: this.owner("app", app), end: tokens };
        const turn = (): void => {
          tokens += drawLength(traffic.input, random);
          const output = drawLength(traffic.output, random);
          const think = random.exponential(traffic.thinkMs);
          const prompt = [system, { owner: session, end: tokens }];
          this.send({ prompt, answerOwner: session, output, session, firstMessage: session }, () => {
            tokens += output;
            left--;
            queue.after(think, left > 0 ? turn : converse);
          });
        };
        turn();
      };
      queue.at((index / traffic.sessions) * traffic.rampMs, converse);
    }
  }

  private send(
    asked: { prompt: Segment[]; answerOwner: number; output: number; session: number; firstMessage: number },
    onDone?: () => void,
  ): void {
    const promptTokens = asked.prompt.at(-1)?.end ?? 0;
    const segments = [...asked.prompt, { owner: asked.answerOwner, end: promptTokens + asked.output }];
    this.context.send(
      {
        id: this.ids.next++,
        arrivedAt: this.context.queue.now,
        promptTokens,
        outputTokens: asked.output,
        blocks: chainOf(segments, hash53),
        promptBlocks: Math.floor(promptTokens / BLOCK_TOKENS),
        session: asked.session,
        firstMessage: asked.firstMessage,
        worker: this.workerOf.below(this.context.workers),
      },
      onDone,
    );
  }

  private systems(apps: number, length: Length): number[] {
    const random = new Random(this.context.seed, `systems ${this.index}`);
    return Array.from({ length: apps }, () => drawLength(length, random));
  }

  private documents(documents: Documents | undefined): { draw: () => number[]; lengths: number[] } {
    if (documents === undefined) return { draw: () => [], lengths: [] };
    const random = new Random(this.context.seed, `documents ${this.index}`);
    const lengths = Array.from({ length: documents.count }, () => drawLength(documents.length, random));
    const zipf = new Zipf(documents.count, documents.exponent);
    const draw = (): number[] => {
      const chosen = new Set<number>();
      while (chosen.size < documents.perPrompt) chosen.add(zipf.draw(random));
      return [...chosen];
    };
    return { draw, lengths };
  }

  private owner(kind: "app" | "user" | "conversation", number: number): number {
    return hash53(hash53(this.context.seed * 64 + this.index, kind.length), number);
  }

  private fresh(): number {
    return hash53(hash53(this.context.seed * 64 + this.index, 0), this.owners++);
  }
}

const behind = (before: Segment | undefined, document: number, length: number): Segment => ({
  owner: hash53(before?.owner ?? 0, document),
  end: (before?.end ?? 0) + length,
});

/** Instants of a Poisson process, ms; with bursts only while it is on, at a rate that keeps the mean. */
function arrivalTimes(rate: number, bursts: Bursts | undefined, random: Random): () => number {
  let now = 0;
  if (bursts === undefined) return () => (now += random.exponential(1000 / rate));
  const gap = (1000 / rate) * (bursts.onMs / (bursts.onMs + bursts.offMs));
  let left = random.exponential(bursts.onMs);
  return () => {
    let wait = random.exponential(gap);
    while (wait > left) {
      wait -= left;
      now += left + random.exponential(bursts.offMs);
      left = random.exponential(bursts.onMs);
    }
    left -= wait;
    now += wait;
    return now;
  };
}
