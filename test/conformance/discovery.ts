/**
 * The one behaviour suite of service discovery: every kind of source must pass it, against a fake of its protocol (npm test) and against the real thing
 * (npm run test:integration). What a protocol cannot say is named by its fixture, with the reason; nothing else may be left out.
 */
import { afterEach, describe, expect, it } from "vitest";
import { waitFor } from "../../envoy/harness/index.ts";
import type { DiscoveryError } from "../../xds-server/discovery/errors.ts";
import type { DiscoveredEndpoint, DiscoverySource, EndpointHealth } from "../../xds-server/discovery/source.ts";

/** What a test registers. Only what is given is compared, and labels must be among those that come out. */
export interface FixtureEndpoint {
  /** An IPv4 address. */
  readonly address: string;
  readonly port: number;
  readonly id: string;
  readonly weight?: number;
  readonly health?: EndpointHealth;
  readonly locality?: { readonly region: string; readonly zone: string; readonly subZone: string };
  readonly labels?: Readonly<Record<string, string>>;
}

export type HostileAnswer = "garbage" | "endless" | "silent" | "error";

/** What a protocol can be without, each with the reason why. */
export type Lacks = Partial<Record<"weight" | "labels" | "locality" | "health" | "port", string>>;

/** One server with one source that asks it; made anew for each test. */
export interface DiscoveryFixture {
  readonly source: DiscoverySource;
  /** From now on the service has exactly these: they are registered, updated and removed. */
  put(service: string, endpoints: readonly FixtureEndpoint[]): Promise<void>;
  /** The server knows the service no more. */
  remove(service: string): Promise<void>;
  /** Of an endpoint that was put. */
  setHealth?(service: string, id: string, health: EndpointHealth): Promise<void>;
  /** The server is gone without a word. */
  stop(): Promise<void>;
  /** It runs again at the same address, with the services that were put. */
  restart(): Promise<void>;
  /** From now on the server answers like this to everything; undefined: rightly again. Only fakes can. */
  hostile?(answer: HostileAnswer | undefined): Promise<void>;
  /** Ends the server; the source is closed by the suite. */
  close(): Promise<void>;
}

export interface DiscoveryOptions {
  readonly lacks?: Lacks;
  /** Health states that the protocol can say; without `health` in `lacks` at least healthy and unhealthy. */
  readonly healths?: readonly EndpointHealth[];
  /** For one condition to come true, ms. */
  readonly timeoutMs?: number;
  /** A service name that is valid and unknown. */
  readonly unknownService?: string;
  /** Names of services that tests use; `web` and `api` by default. */
  readonly services?: readonly [string, string];
  /** Why a service with no endpoints cannot be told from none; then it may be either `endpoints([])` or a failure. */
  readonly doubtfulEmpty?: string;
}

/** Hears one watch; keeps everything. */
class Listener {
  readonly answers: (readonly DiscoveredEndpoint[])[] = [];
  readonly failures: DiscoveryError[] = [];
  readonly unwatch: () => void;

  constructor(source: DiscoverySource, service: string) {
    this.unwatch = source.watch(service, {
      endpoints: (all) => this.answers.push(all),
      failed: (error) => this.failures.push(error),
    });
    expect(this.answers.length + this.failures.length, "told something from within watch").toBe(0);
  }

  get last(): readonly DiscoveredEndpoint[] | undefined {
    return this.answers.at(-1);
  }
}

/** @param makeFixture a server that runs and a source that asks it, quick enough for a test to wait for */
export function describeDiscovery(
  name: string,
  makeFixture: () => Promise<DiscoveryFixture>,
  options: DiscoveryOptions = {},
): void {
  const { lacks = {}, healths = ["healthy", "unhealthy"], timeoutMs = 10_000, unknownService = "nobody" } = options;
  const [web, api] = options.services ?? ["web", "api"];
  const testTimeout = 3 * timeoutMs + 20_000;

  describe(name, () => {
    const open: DiscoveryFixture[] = [];
    const start = async (): Promise<DiscoveryFixture> => {
      const fixture = await makeFixture();
      open.push(fixture);
      return fixture;
    };
    afterEach(async () => {
      for (const fixture of open.splice(0)) {
        await fixture.source.close();
        await fixture.close();
      }
    });

    const endpoint = (index: number, more: Partial<FixtureEndpoint> = {}): FixtureEndpoint => ({
      id: `i-${index}`,
      address: `10.1.0.${index}`,
      port: "port" in lacks ? PORT : 8000 + index,
      ...more,
    });
    const until = (what: string, condition: () => boolean) => waitFor(condition, { what, timeoutMs });
    const shows = (listener: Listener, expected: readonly FixtureEndpoint[], what: string) =>
      until(what, () => listener.last !== undefined && matches(listener.last, expected)).catch((error: unknown) => {
        expect(summary(listener.last), what).toEqual(expected);
        throw error;
      });
    /** A test of something that the protocol may be without; it is skipped with the reason then. */
    const ofWhat = (what: keyof Lacks, title: string, run: () => Promise<void>) =>
      it(
        title,
        async (context) => {
          const reason = lacks[what];
          if (reason !== undefined) context.skip(reason);
          await run();
        },
        testTimeout,
      );

    it(
      "tells the endpoints that there are",
      async () => {
        const fixture = await start();
        await fixture.put(web, [endpoint(1), endpoint(2)]);
        const listener = new Listener(fixture.source, web);
        await shows(listener, [endpoint(1), endpoint(2)], "both endpoints");
        expect(listener.failures).toEqual([]);
        expect(new Set(listener.last?.map(({ id }) => id)).size).toBe(2);
        for (const { weight } of listener.last ?? []) expect(weight).toBe(1);
      },
      testTimeout,
    );

    it(
      "tells what is registered, changed and removed later, and keeps services apart",
      async () => {
        const fixture = await start();
        await fixture.put(web, [endpoint(1)]);
        await fixture.put(api, [endpoint(9)]);
        const listener = new Listener(fixture.source, web);
        const other = new Listener(fixture.source, api);
        await shows(listener, [endpoint(1)], "the first endpoint");
        await fixture.put(web, [endpoint(1), endpoint(2), endpoint(3)]);
        await shows(listener, [endpoint(1), endpoint(2), endpoint(3)], "three endpoints");
        await fixture.put(web, [endpoint(3)]);
        await shows(listener, [endpoint(3)], "one endpoint");
        const moved = endpoint(3, { address: "10.1.0.33" });
        await fixture.put(web, [moved]);
        await shows(listener, [moved], "the endpoint at its new address");
        await shows(other, [endpoint(9)], "the endpoint of the other service");
        for (const answer of other.answers) expect(matches(answer, [endpoint(9)])).toBe(true);
      },
      testTimeout,
    );

    ofWhat("port", "tells another port", async () => {
      const fixture = await start();
      await fixture.put(web, [endpoint(1)]);
      const listener = new Listener(fixture.source, web);
      await shows(listener, [endpoint(1)], "the endpoint");
      await fixture.put(web, [endpoint(1, { port: 9999 })]);
      await shows(listener, [endpoint(1, { port: 9999 })], "the endpoint at its new port");
    });

    ofWhat("weight", "tells weights", async () => {
      const fixture = await start();
      await fixture.put(web, [endpoint(1, { weight: 10 }), endpoint(2, { weight: 30 })]);
      const listener = new Listener(fixture.source, web);
      await shows(listener, [endpoint(1, { weight: 10 }), endpoint(2, { weight: 30 })], "weights");
      await fixture.put(web, [endpoint(1, { weight: 20 }), endpoint(2, { weight: 30 })]);
      await shows(listener, [endpoint(1, { weight: 20 }), endpoint(2, { weight: 30 })], "a changed weight");
    });

    ofWhat("labels", "tells labels", async () => {
      const fixture = await start();
      await fixture.put(web, [endpoint(1, { labels: { accelerator: "gpu-a", version: "v1" } }), endpoint(2)]);
      const listener = new Listener(fixture.source, web);
      await shows(listener, [endpoint(1, { labels: { accelerator: "gpu-a", version: "v1" } }), endpoint(2)], "labels");
      await fixture.put(web, [endpoint(1, { labels: { version: "v2" } }), endpoint(2)]);
      await shows(listener, [endpoint(1, { labels: { version: "v2" } }), endpoint(2)], "a changed label");
      expect(listener.last?.[0]?.labels.has("accelerator")).toBe(false);
    });

    ofWhat("locality", "tells localities", async () => {
      const fixture = await start();
      const here = { region: "eu", zone: "eu-1", subZone: "" };
      const there = { region: "eu", zone: "eu-2", subZone: "" };
      await fixture.put(web, [endpoint(1, { locality: here }), endpoint(2, { locality: there })]);
      const listener = new Listener(fixture.source, web);
      await shows(listener, [endpoint(1, { locality: here }), endpoint(2, { locality: there })], "localities");
    });

    ofWhat("health", "tells health", async () => {
      const fixture = await start();
      await fixture.put(web, [endpoint(1), endpoint(2)]);
      const listener = new Listener(fixture.source, web);
      await shows(listener, [endpoint(1, { health: "healthy" }), endpoint(2, { health: "healthy" })], "healthy ones");
      for (const health of [...healths.filter((each) => each !== "healthy"), "healthy" as const]) {
        await fixture.setHealth?.(web, "i-1", health);
        await shows(listener, [endpoint(1, { health }), endpoint(2, { health: "healthy" })], `health ${health}`);
      }
      expect(fixture.setHealth, "a fixture that can say health sets it").toBeDefined();
    });

    it(
      "tells when the last endpoint has gone, and when one comes back",
      async () => {
        const fixture = await start();
        await fixture.put(web, [endpoint(1)]);
        const listener = new Listener(fixture.source, web);
        await shows(listener, [endpoint(1)], "the endpoint");
        await fixture.remove(web);
        await until(
          "an empty answer",
          () => listener.last?.length === 0 || (options.doubtfulEmpty !== undefined && listener.failures.length > 0),
        );
        await fixture.put(web, [endpoint(2)]);
        await shows(listener, [endpoint(2)], "the new endpoint");
      },
      testTimeout,
    );

    it(
      "tells that an unknown service has no endpoints, and its endpoints as soon as it has some",
      async () => {
        const fixture = await start();
        await fixture.put(web, [endpoint(1)]);
        const listener = new Listener(fixture.source, unknownService);
        await until(
          "an answer",
          () => listener.answers.length > 0 || (options.doubtfulEmpty !== undefined && listener.failures.length > 0),
        );
        expect(listener.last ?? []).toEqual([]);
        await fixture.put(unknownService, [endpoint(4)]);
        await shows(listener, [endpoint(4)], "the endpoint of the service that was unknown");
      },
      testTimeout,
    );

    it(
      "says that it failed while the server is down, invents nothing, and goes on when it is back",
      async () => {
        const fixture = await start();
        await fixture.put(web, [endpoint(1), endpoint(2)]);
        const listener = new Listener(fixture.source, web);
        await shows(listener, [endpoint(1), endpoint(2)], "both endpoints");
        const before = listener.answers.length;
        await fixture.stop();
        await until("a failure", () => listener.failures.length > 0);
        expect(listener.failures[0]?.code).toMatch(/^TM_DISCOVERY_/);
        for (const answer of listener.answers.slice(before))
          expect(matches(answer, [endpoint(1), endpoint(2)]), "an answer of a server that is down").toBe(true);
        const told = listener.answers.length;
        await fixture.restart();
        await until("an answer after the restart", () => listener.answers.length > told);
        await fixture.put(web, [endpoint(2), endpoint(3)]);
        await shows(listener, [endpoint(2), endpoint(3)], "changes after the restart");
        for (const answer of listener.answers) expect(answer.length, "never emptied").toBeGreaterThan(0);
      },
      testTimeout,
    );

    it(
      "fails when the server is not there from the beginning, and starts when it is",
      async () => {
        const fixture = await start();
        await fixture.put(web, [endpoint(1)]);
        await fixture.stop();
        const listener = new Listener(fixture.source, web);
        await until("a failure", () => listener.failures.length > 0);
        expect(listener.answers).toEqual([]);
        await fixture.restart();
        await shows(listener, [endpoint(1)], "the endpoint");
      },
      testTimeout,
    );

    it(
      "serves many watches of many services, and each watch hears its first answer",
      async () => {
        const fixture = await start();
        await fixture.put(web, [endpoint(1)]);
        await fixture.put(api, [endpoint(2)]);
        const listeners = Array.from({ length: 40 }, (_, i) => new Listener(fixture.source, i % 2 === 0 ? web : api));
        for (const [i, listener] of listeners.entries()) await shows(listener, [endpoint((i % 2) + 1)], `watch ${i}`);
        const late = new Listener(fixture.source, web);
        await shows(late, [endpoint(1)], "the watch that came late");
        await fixture.put(web, [endpoint(3)]);
        for (const listener of listeners.filter((_, i) => i % 2 === 0))
          await shows(listener, [endpoint(3)], "a change");
        await shows(late, [endpoint(3)], "a change for the watch that came late");
      },
      testTimeout,
    );

    it(
      "tells a watch nothing after it has ended, and others still everything",
      async () => {
        const fixture = await start();
        await fixture.put(web, [endpoint(1)]);
        const ended = new Listener(fixture.source, web);
        const never = new Listener(fixture.source, web);
        never.unwatch();
        const stays = new Listener(fixture.source, web);
        await shows(ended, [endpoint(1)], "the endpoint");
        await shows(stays, [endpoint(1)], "the endpoint");
        ended.unwatch();
        ended.unwatch();
        const told = ended.answers.length;
        await fixture.put(web, [endpoint(1), endpoint(2)]);
        await shows(stays, [endpoint(1), endpoint(2)], "a change");
        expect(ended.answers.length).toBe(told);
        expect(never.answers).toEqual([]);
        const again = new Listener(fixture.source, web);
        await shows(again, [endpoint(1), endpoint(2)], "a new watch of the service");
      },
      testTimeout,
    );

    it(
      "refuses service names that are none, and says so",
      async () => {
        const fixture = await start();
        await fixture.put(web, [endpoint(1)]);
        for (const service of ["", "a/../../b?c=d&e", "x".repeat(300), "a b\r\nHost: c", "\u0000"]) {
          const listener = new Listener(fixture.source, service);
          await until(
            `an answer for ${JSON.stringify(service)}`,
            () => listener.failures.length + listener.answers.length > 0,
          );
          expect(listener.last ?? []).toEqual([]);
        }
        const listener = new Listener(fixture.source, web);
        await shows(listener, [endpoint(1)], "the endpoint, unharmed");
      },
      testTimeout,
    );

    it(
      "leaves nothing behind when it is closed, told or untold",
      async () => {
        const fixture = await start();
        await fixture.put(web, [endpoint(1)]);
        const listener = new Listener(fixture.source, web);
        await shows(listener, [endpoint(1)], "the endpoint");
        const untold = new Listener(fixture.source, api);
        await fixture.source.close();
        const told = [listener.answers.length, listener.failures.length, untold.answers.length, untold.failures.length];
        await fixture.put(web, [endpoint(1), endpoint(2)]);
        await fixture.source.close();
        listener.unwatch();
        expect([
          listener.answers.length,
          listener.failures.length,
          untold.answers.length,
          untold.failures.length,
        ]).toEqual(told);
        await fixture.close();
        open.splice(open.indexOf(fixture), 1);
        await until("no socket or timer of the source", () => handles() <= handlesBefore());
      },
      testTimeout,
    );

    for (const answer of ["garbage", "endless", "silent", "error"] as const) {
      it(
        `survives a server whose answers are ${answer}`,
        async (context) => {
          const fixture = await start();
          if (fixture.hostile === undefined) return context.skip("a real server does not lie");
          await fixture.put(web, [endpoint(1)]);
          const listener = new Listener(fixture.source, web);
          await shows(listener, [endpoint(1)], "the endpoint");
          await fixture.hostile(answer);
          await until("a failure", () => listener.failures.length > 0);
          expect(listener.failures[0]?.code).toMatch(/^TM_DISCOVERY_/);
          for (const { message } of listener.failures) expect(message.length).toBeLessThan(1_024);
          for (const each of listener.answers) expect(matches(each, [endpoint(1)])).toBe(true);
          await fixture.hostile(undefined);
          await fixture.put(web, [endpoint(2)]);
          await shows(listener, [endpoint(2)], "the endpoint after it");
        },
        testTimeout,
      );
    }

    const handlesBefore = baseline();
  });
}

/** Of endpoints whose protocol has no ports; their fixture sets the source to it. */
export const PORT = 8080;

/** Open sockets of this process: what a closed source must not have. */
function handles(): number {
  return process.getActiveResourcesInfo().filter((kind) => /TCP|UDP|TLS/i.test(kind)).length;
}

/** The count at the first call; later calls return it, so that sockets of the test run itself do not count. */
function baseline(): () => number {
  const before = handles();
  return () => before;
}

function matches(found: readonly DiscoveredEndpoint[], expected: readonly FixtureEndpoint[]): boolean {
  if (found.length !== expected.length) return false;
  return expected.every((each) => {
    const same = found.find(({ address, port }) => address === each.address && port === each.port);
    if (same === undefined) return false;
    if (each.weight !== undefined && same.weight !== each.weight) return false;
    if (each.health !== undefined && same.health !== each.health) return false;
    if (each.locality !== undefined && JSON.stringify(sorted(same.locality)) !== JSON.stringify(sorted(each.locality)))
      return false;
    return Object.entries(each.labels ?? {}).every(([name, value]) => same.labels.get(name) === value);
  });
}

function sorted(locality: FixtureEndpoint["locality"]): unknown {
  return locality && [locality.region, locality.zone, locality.subZone];
}

function summary(found: readonly DiscoveredEndpoint[] | undefined): unknown {
  return found?.map(({ labels, ...rest }) => ({ ...rest, labels: Object.fromEntries(labels) }));
}
