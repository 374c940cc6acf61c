import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { EngineLoad } from "./engine-load.ts";
import { ASKED_MS, KNOWN_MS, MAX_SCRAPES } from "./limits.ts";
import type { ScrapeResult } from "./scrape.ts";
import { LoadsScraper } from "./scraper.ts";

/** On a clock of the test: when endpoints are asked, and what is known of them. */

const load = (waiting: number): EngineLoad => ({
  waiting,
  running: 0,
  kvPermille: 0,
  blocks: 0,
  blockTokens: 0,
  activeAdapters: [],
  waitingAdapters: [],
  maxAdapters: 0,
});

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

interface Bench {
  readonly scraper: LoadsScraper;
  /** Addresses in the order in which they were asked, and when. */
  readonly asked: { readonly address: string; readonly at: number }[];
  readonly ended: string[];
  most: number;
}

function bench(answer: (address: string) => ScrapeResult | undefined, takesMs = 10, random = () => 0.5): Bench {
  const asked: Bench["asked"] = [];
  const ended: string[] = [];
  let running = 0;
  const scraper = new LoadsScraper({
    now: Date.now,
    random,
    onScrape: (result) => ended.push(result),
    scrape: async (address) => {
      asked.push({ address, at: Date.now() });
      parts.most = Math.max(parts.most, ++running);
      await new Promise((resolve) => setTimeout(resolve, takesMs));
      running--;
      return answer(address) ?? { fault: "timeout", message: "too late" };
    },
  });
  const parts: Bench = { scraper, asked, ended, most: 0 };
  return parts;
}

const pool = (intervalMs: number, ...addresses: string[]) => ({ addresses, intervalMs });
const good = (): ScrapeResult => ({ load: load(1) });

it("nobody is asked before somebody wants to know, and nobody again when nobody has for a while", async () => {
  const { scraper, asked } = bench(good);
  scraper.configure(new Map([["p", pool(250, "a", "b")]]));
  await vi.advanceTimersByTimeAsync(10_000);
  expect(asked).toEqual([]);
  expect(scraper.ask("p")?.map((each) => each.load)).toEqual([undefined, undefined]);
  await vi.advanceTimersByTimeAsync(ASKED_MS + 1_000);
  const times = asked.filter(({ address }) => address === "a").map(({ at }) => at);
  const gaps = times.slice(1).map((at, index) => at - (times[index] ?? 0));
  expect(new Set(gaps)).toEqual(new Set([250]));
  expect(times.length).toBe(ASKED_MS / 250 + 1);
  const before = asked.length;
  await vi.advanceTimersByTimeAsync(60_000);
  expect(asked.length).toBe(before);
  scraper.ask("p");
  await vi.advanceTimersByTimeAsync(100);
  expect(asked.length).toBe(before + 2);
});

it("ages count from when the engine was asked; what is too old is not known", async () => {
  const { scraper } = bench(good, 40);
  scraper.configure(new Map([["p", pool(60_000, "a")]]));
  scraper.ask("p");
  await vi.advanceTimersByTimeAsync(100);
  expect(scraper.look("p")).toEqual([{ address: "a", load: load(1), ageMs: 100, fault: undefined }]);
  await vi.advanceTimersByTimeAsync(KNOWN_MS - 100);
  expect(scraper.look("p")[0]).toMatchObject({ load: load(1), ageMs: KNOWN_MS });
  await vi.advanceTimersByTimeAsync(1);
  expect(scraper.look("p")[0]).toMatchObject({ load: undefined, ageMs: KNOWN_MS + 1 });
});

it("a scrape that fails leaves what was known, which gets older, and says why", async () => {
  let works = true;
  const { scraper, ended } = bench(() => (works ? good() : { fault: "status", message: "status 500" }));
  scraper.configure(new Map([["p", pool(100, "a")]]));
  scraper.ask("p");
  await vi.advanceTimersByTimeAsync(50);
  works = false;
  await vi.advanceTimersByTimeAsync(200);
  expect(scraper.look("p")).toEqual([
    { address: "a", load: load(1), ageMs: 250, fault: { reason: "status", message: "status 500" } },
  ]);
  works = true;
  await vi.advanceTimersByTimeAsync(100);
  expect(scraper.look("p")[0]).toMatchObject({ load: load(1), fault: undefined });
  expect(ended).toEqual(["ok", "status", "status", "ok"]);
});

it("an endpoint of several pools is asked once, as often as the pool that wants it most often", async () => {
  const { scraper, asked } = bench(good);
  scraper.configure(
    new Map([
      ["slow", pool(1_000, "a", "b")],
      ["fast", pool(100, "a")],
    ]),
  );
  scraper.ask("slow");
  await vi.advanceTimersByTimeAsync(1_000);
  const times = (name: string) => asked.filter(({ address }) => address === name).length;
  expect([times("a"), times("b")]).toEqual([11, 2]);
});

it("a slow endpoint is not asked again before it has answered, and holds nobody up", async () => {
  const { scraper, asked } = bench(good, 900);
  scraper.configure(new Map([["p", pool(100, "a")]]));
  for (let i = 0; i < 30; i++) {
    scraper.ask("p");
    await vi.advanceTimersByTimeAsync(100);
  }
  expect(asked.length).toBe(4);
});

it("intervals vary, within a fifth in all", async () => {
  let turn = 0;
  const { scraper, asked } = bench(good, 1, () => (turn++ % 2 === 0 ? 0 : 0.999));
  scraper.configure(new Map([["p", pool(1_000, "a")]]));
  scraper.ask("p");
  await vi.advanceTimersByTimeAsync(3_000);
  const gaps = asked.slice(1).map(({ at }, index) => at - (asked[index]?.at ?? 0));
  expect(gaps[0]).toBe(900);
  expect(gaps[1]).toBeGreaterThan(1_090);
  expect(gaps[1]).toBeLessThanOrEqual(1_100);
});

describe("many endpoints", () => {
  const many = Array.from({ length: 3 * MAX_SCRAPES }, (_, i) => `e${i}`);

  it("are asked some at a time, in turn, all of them", async () => {
    const parts = bench(good, 100);
    parts.scraper.configure(new Map([["p", pool(50, ...many)]]));
    parts.scraper.ask("p");
    expect(parts.scraper.running).toBe(MAX_SCRAPES);
    await vi.advanceTimersByTimeAsync(350);
    expect(parts.most).toBe(MAX_SCRAPES);
    expect(new Set(parts.asked.slice(0, many.length).map(({ address }) => address)).size).toBe(many.length);
    expect(parts.scraper.look("p").every((each) => each.load !== undefined)).toBe(true);
  });

  it("that are gone are not asked any more, not even those that wait for their turn", async () => {
    const parts = bench(good, 100);
    parts.scraper.configure(new Map([["p", pool(50, ...many)]]));
    parts.scraper.ask("p");
    parts.scraper.configure(new Map([["p", pool(50, "e0")]]));
    await vi.advanceTimersByTimeAsync(1_000);
    const late = parts.asked.slice(MAX_SCRAPES).map(({ address }) => address);
    expect(late.length).toBeGreaterThan(5);
    expect(new Set(late)).toEqual(new Set(["e0"]));
  });
});

describe("another configuration", () => {
  it("keeps what is known of endpoints that stay, and knows nothing of one that comes back", async () => {
    const { scraper } = bench(good);
    scraper.configure(new Map([["p", pool(250, "a", "b")]]));
    scraper.ask("p");
    await vi.advanceTimersByTimeAsync(20);
    scraper.configure(new Map([["q", pool(250, "c", "a")]]));
    expect(scraper.ask("p")).toBeUndefined();
    expect(scraper.look("p")).toEqual([]);
    expect(scraper.look("q").map((each) => [each.address, each.load !== undefined])).toEqual([
      ["c", false],
      ["a", true],
    ]);
    scraper.configure(new Map([["q", pool(250, "b")]]));
    expect(scraper.look("q")).toEqual([{ address: "b", load: undefined, ageMs: undefined, fault: undefined }]);
  });

  it("an answer that comes after its endpoint was removed and added again says nothing", async () => {
    const { scraper, asked } = bench(good, 100);
    scraper.configure(new Map([["p", pool(250, "a")]]));
    scraper.ask("p");
    scraper.configure(new Map());
    scraper.configure(new Map([["p", pool(250, "a")]]));
    await vi.advanceTimersByTimeAsync(1_000);
    expect(scraper.look("p")[0]?.load).toBeUndefined();
    expect(asked.length).toBe(1);
  });

  it("closing ends it: nothing is asked any more", async () => {
    const { scraper, asked } = bench(good);
    scraper.configure(new Map([["p", pool(50, "a")]]));
    scraper.ask("p");
    await vi.advanceTimersByTimeAsync(200);
    const before = asked.length;
    scraper.close();
    await vi.advanceTimersByTimeAsync(10_000);
    expect(asked.length).toBe(before);
    expect(vi.getTimerCount()).toBe(0);
  });
});
