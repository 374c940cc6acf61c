import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { waitFor } from "../../envoy/harness/index.ts";
import { FakeApiServer } from "../../test/fixtures/discovery/kubernetes-api-server.ts";
import { ApiClient } from "./api-client.ts";
import type { ApiError } from "./api-error.ts";
import { Reflector, type ReflectorOptions, type Timing } from "./reflector.ts";

const path = "/api/v1/namespaces/mesh/services";

let server: FakeApiServer;
let client: ApiClient;
const open: Reflector<string>[] = [];

beforeEach(async () => {
  server = await FakeApiServer.start();
  client = new ApiClient(
    { server: server.url, namespace: "mesh", credentials: async () => ({ headers: {}, tls: {} }) },
    2_000,
  );
});
afterEach(async () => {
  for (const each of open.splice(0)) await each.close();
  client.close();
  await server.stop();
});

const put = (name: string, value = "1") =>
  client.call("POST", path, { body: { metadata: { name, labels: { app: name } }, value } });
const asked = (what: RegExp) => server.requests.filter((each) => each.startsWith(`GET ${path}`) && what.test(each));
const lists = () => asked(/^(?!.*watch=)/);
const watches = () => asked(/watch=true/);

/** Waits as short as can be; tells how long it would have been. */
function timing(random = 0): Timing & { readonly pauses: number[] } {
  const pauses: number[] = [];
  const after = (ms: number, run: () => void) => {
    pauses.push(ms);
    const timer = setTimeout(run, 1);
    return () => clearTimeout(timer);
  };
  return { now: () => performance.now(), after, random: () => random, pauses };
}

function reflect(more: Partial<ReflectorOptions<string>> = {}) {
  const changes: string[][] = [];
  const failures: ApiError[] = [];
  const alive = { times: 0 };
  const reflector = new Reflector<string>({
    client,
    path,
    timing: timing(),
    read: ({ value }) => String(value),
    same: (a, b) => a === b,
    changed: (keys) => changes.push([...keys].sort()),
    failed: (error) => failures.push(error),
    alive: () => {
      alive.times++;
    },
    ...more,
  });
  open.push(reflector);
  const has = (...names: string[]) =>
    waitFor(() => [...reflector.objects.keys()].sort().join() === names.map((name) => `mesh/${name}`).join(), {
      what: `the copy to have ${names}`,
    });
  return { reflector, changes, failures, alive, has };
}

describe("Reflector", () => {
  it("lists in pages, then watches from the version of the list", async () => {
    for (const name of ["a", "b", "c", "d", "e"]) await put(name);
    const { reflector, changes, failures, has } = reflect({ pageSize: 2 });
    expect(reflector.synced).toBe(false);
    await has("a", "b", "c", "d", "e");
    expect(reflector.synced).toBe(true);
    expect(lists().length).toBe(3);
    expect(changes).toEqual([["mesh/a", "mesh/b", "mesh/c", "mesh/d", "mesh/e"]]);
    await waitFor(() => server.watches === 1, { what: "the watch" });
    expect(watches()[0]).toContain("resourceVersion=105");
    expect(watches()[0]).toContain("allowWatchBookmarks=true");
    await client.call("DELETE", `${path}/c`);
    await has("a", "b", "d", "e");
    expect([changes.at(-1), failures]).toEqual([["mesh/c"], []]);
  });

  it("asks with its selectors and for metadata only, if it is told to", async () => {
    await put("a");
    await put("b");
    const { has } = reflect({ query: { labelSelector: "app=b" }, metadataOnly: true, read: ({ value }) => `${value}` });
    await has("b");
    await put("c");
    expect(open[0]?.objects.get("mesh/b")).toBe("undefined");
    expect([...lists(), ...watches()].every((each) => each.includes("labelSelector=app%3Db"))).toBe(true);
  });

  it("goes on from the last version when the server ends the watch, without a list and without a word", async () => {
    await put("a");
    const { changes, failures, has } = reflect();
    await has("a");
    await put("b");
    await has("a", "b");
    server.endWatches();
    await waitFor(() => watches().length === 2, { what: "the second watch" });
    await put("c");
    await has("a", "b", "c");
    expect([lists().length, failures.length]).toEqual([1, 0]);
    expect(watches()[1]).toContain("resourceVersion=102");
    expect(changes).toEqual([["mesh/a"], ["mesh/b"], ["mesh/c"]]);
  });

  it("goes on from a bookmark, which is also a sign of life", async () => {
    const { changes, alive, has } = reflect();
    await waitFor(() => server.watches === 1, { what: "the watch" });
    server.sendBookmarks(150);
    await waitFor(() => alive.times === 1, { what: "the sign of life" });
    server.endWatches();
    await waitFor(() => watches().length === 2, { what: "the second watch" });
    expect(watches()[1]).toContain("resourceVersion=150");
    await has();
    expect(changes).toEqual([[]]);
  });

  it("lists again when the server has forgotten the version, and tells what had happened meanwhile", async () => {
    await put("a");
    await put("b");
    const { changes, failures, has } = reflect();
    await waitFor(() => server.watches === 1, { what: "the watch" });
    const versionOf = () => watches().length;
    // Connections break, the server changes and forgets before anybody is back.
    server.intercept = (_, response) => {
      response.destroy();
      return true;
    };
    server.breakConnections();
    await waitFor(() => versionOf() > 1, { what: "an attempt" });
    server.clear(path);
    server.compact();
    server.intercept = undefined;
    await put("c");
    await has("c");
    expect(lists().length).toBe(2);
    expect(changes.at(-1)).toEqual(expect.arrayContaining(["mesh/a", "mesh/b"]));
    expect(failures.every(({ expired }) => !expired)).toBe(true);
  });

  it("lists again after an event that it cannot read, and after a store that was put back", async () => {
    await put("a");
    const { failures, has } = reflect();
    await waitFor(() => server.watches === 1, { what: "the watch" });
    server.sendRaw('{"type":"ADDED","object":{}}\n');
    await waitFor(() => watches().length === 2 && server.watches === 1, { what: "the second watch" });
    expect(failures.map(({ fault }) => fault)).toEqual(["malformed"]);
    await put("b");
    await has("a", "b");
    await put("c");
    await waitFor(() => server.watches === 1, { what: "the watch" });
    server.rewind(50);
    await client.call("DELETE", `${path}/c`);
    await has("a", "b");
    expect(lists().length).toBe(3);
  });

  it("tells a failure at each attempt, keeps what it has, and tells when it is true again", async () => {
    await put("a");
    const { reflector, changes, failures, has } = reflect();
    await has("a");
    await waitFor(() => server.watches === 1, { what: "the watch" });
    await server.stop();
    await waitFor(() => failures.length >= 3, { what: "failures" });
    expect(failures[0]?.fault).toBe("unreachable");
    expect([reflector.objects.size, changes.length]).toEqual([1, 1]);
    await server.listen();
    await waitFor(() => changes.length === 2, { what: "the good news" });
    expect(changes[1]).toEqual([]);
    expect(lists().length).toBe(1);
  });

  it("waits as long as the server asks for, on top of its own time, and longer from failure to failure", async () => {
    server.intercept = (_, response) => {
      response
        .writeHead(429, { "retry-after": "7" })
        .end(JSON.stringify({ reason: "TooManyRequests", message: "slow" }));
      return true;
    };
    const clock = timing(1);
    const { failures } = reflect({ timing: clock });
    await waitFor(() => failures.length >= 9, { what: "failures" });
    expect(clock.pauses.slice(0, 8)).toEqual([7_500, 8_000, 9_000, 11_000, 15_000, 23_000, 37_000, 37_000]);
    expect(failures[0]).toMatchObject({ status: 429, reason: "TooManyRequests", retryAfterMs: 7_000 });
    expect(failures[0]?.message).toBe(`${path}: status 429: slow`);
  });

  it("keeps its version through 429 and 503, and lists after any other refusal of a watch", async () => {
    await put("a");
    let status = 0;
    server.intercept = (request, response) => {
      if (status === 0 || !request.url?.includes("watch=true")) return false;
      response.writeHead(status).end();
      return true;
    };
    const { failures, has } = reflect();
    await has("a");
    await waitFor(() => server.watches === 1, { what: "the watch" });
    for (const [each, expected] of [
      [429, 1],
      [503, 1],
      [504, 2],
      [400, 3],
      [410, 4],
    ] as const) {
      const told = failures.length;
      const before = watches().length;
      status = each;
      server.endWatches();
      await waitFor(() => watches().length > before + 1 && (each === 410 || failures.length > told), {
        what: `refusals ${each}`,
      });
      status = 0;
      await waitFor(() => server.watches === 1, { what: "the watch" });
      if (each === 429 || each === 503) expect(lists().length).toBe(expected);
      else expect(lists().length).toBeGreaterThanOrEqual(expected);
      server.sendBookmarks();
    }
  });

  it("begins to wait from the shortest time again after a watch that has worked", async () => {
    const clock = timing(1);
    await server.stop();
    const { failures, has } = reflect({ timing: clock });
    await waitFor(() => failures.length >= 3, { what: "failures" });
    await server.listen();
    await put("a");
    await has("a");
    await waitFor(() => server.watches === 1, { what: "the watch" });
    await put("b");
    await has("a", "b");
    const before = clock.pauses.length;
    await server.stop();
    await waitFor(() => clock.pauses.length >= before + 2, { what: "pauses" });
    expect(clock.pauses.slice(before, before + 2)).toEqual([500, 1_000]);
  });

  it("begins a list that broke off from its first page", async () => {
    for (const name of ["a", "b", "c"]) await put(name);
    let broken = 0;
    server.intercept = (request, response) => {
      if (!request.url?.includes("continue=") || ++broken > 1) return false;
      server.clear(path);
      response.writeHead(500).end();
      return true;
    };
    const { reflector } = reflect({ pageSize: 2 });
    await waitFor(() => reflector.synced, { what: "the list" });
    expect([broken, reflector.objects.size]).toEqual([1, 0]);
  });

  it("tells a failure also when a connection takes its time to fail", async () => {
    await put("a");
    let now = 0;
    const clock = timing(1);
    const { failures, has } = reflect({
      timing: {
        ...clock,
        now: () => {
          now += 5_000;
          return now;
        },
      },
    });
    await has("a");
    await waitFor(() => server.watches === 1, { what: "the watch" });
    const before = clock.pauses.length;
    await server.stop();
    await waitFor(() => failures.length >= 2, { what: "failures" });
    expect(clock.pauses.slice(before, before + 3)).toEqual([500, 1_000, 2_000]);
  });

  it("tells what came before an error, though the server is not there any more", async () => {
    await put("a");
    const { changes, failures } = reflect();
    await waitFor(() => server.watches === 1, { what: "the watch" });
    server.intercept = () => true;
    const added = { type: "ADDED", object: { metadata: { name: "b", namespace: "mesh", resourceVersion: "200" } } };
    const failed = { type: "ERROR", object: { code: 500, message: "out of order" } };
    server.sendRaw(`${JSON.stringify(added)}\n${JSON.stringify(failed)}\n`);
    await waitFor(() => failures.length > 0, { what: "the failure" });
    expect(changes.at(-1)).toEqual(["mesh/b"]);
    expect(failures[0]?.message).toBe(`watch of ${path}: out of order`);
  });

  it("is no busy loop when each watch ends at once, in order or broken", async () => {
    server.intercept = (request, response) => {
      if (!request.url?.includes("watch=true")) return false;
      response.writeHead(200).end();
      return true;
    };
    const clock = timing(1);
    const { failures } = reflect({ timing: clock });
    await waitFor(() => watches().length >= 5, { what: "watches" });
    expect(clock.pauses.slice(0, 4)).toEqual([500, 1_000, 2_000, 4_000]);
    expect(failures).toEqual([]);
  });

  it("leaves nothing behind, whenever it is closed", async () => {
    const never = reflect();
    await never.reflector.close();
    server.intercept = () => true;
    const silent = reflect();
    await waitFor(() => lists().length >= 1, { what: "the list" });
    await silent.reflector.close();
    server.intercept = undefined;
    const watching = reflect();
    await waitFor(() => server.watches === 1, { what: "the watch" });
    await watching.reflector.close();
    await waitFor(() => server.watches === 0, { what: "the end of the watch" });
    await server.stop();
    const waiting = reflect({ timing: { ...timing(), after: () => () => {} } });
    await waitFor(() => waiting.failures.length === 1, { what: "the failure" });
    await waiting.reflector.close();
    for (const { changes, failures } of [never, silent]) expect([changes, failures]).toEqual([[], []]);
    expect(watching.failures).toEqual([]);
  });
});
