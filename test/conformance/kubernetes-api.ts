/** What discovery and records rely on in the API server of Kubernetes; the fake must do as the real one does. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { waitFor } from "../../envoy/harness/index.ts";
import { ApiClient, ApiError, type Cluster } from "../../xds-server/kubernetes/index.ts";

type Json = Record<string, unknown> & { readonly metadata: Record<string, unknown> };

export interface ApiServerFixture {
  readonly cluster: Cluster;
  close(): Promise<void>;
}

export function describeApiServer(name: string, start: () => Promise<ApiServerFixture>): void {
  describe(name, () => {
    let server: ApiServerFixture;
    let client: ApiClient;
    let path: string;
    let namespaces = 0;
    const ends: (() => Promise<void>)[] = [];

    beforeAll(async () => {
      server = await start();
    });
    afterAll(async () => {
      await server?.close();
    });
    beforeEach(async () => {
      client = new ApiClient(server.cluster);
      const namespace = `facts-${++namespaces}`;
      await client.call("POST", "/api/v1/namespaces", { body: { metadata: { name: namespace } } });
      path = `/api/v1/namespaces/${namespace}/configmaps`;
    });
    afterEach(async () => {
      for (const end of ends.splice(0)) await end();
      client.close();
    });

    const configMap = (name: string, value = "1", metadata: object = {}) => ({
      apiVersion: "v1",
      kind: "ConfigMap",
      metadata: { name, labels: { mine: "yes" }, ...metadata },
      data: { value },
    });
    const create = async (name: string, value?: string) =>
      (await client.call("POST", path, { body: configMap(name, value) })) as Json;
    const replace = async (name: string, value: string, resourceVersion?: string) =>
      (await client.call("PUT", `${path}/${name}`, { body: configMap(name, value, { resourceVersion }) })) as Json;
    const remove = (name: string, resourceVersion?: string) =>
      client.call("DELETE", `${path}/${name}`, { body: { preconditions: { resourceVersion } } });
    const version = ({ metadata }: Json) => String(metadata.resourceVersion);
    const refusal = async (call: Promise<unknown>) => {
      const error = await call.catch((reason: unknown) => reason);
      if (error instanceof ApiError) return `${error.status} ${error.reason}`;
      throw new Error(`not refused: ${JSON.stringify(error)}`);
    };
    const list = async (query = {}) =>
      (await client.call("GET", path, { query })) as Json & { readonly items: readonly Json[] };

    /** The events of a watch, and how it ended. */
    function watch(resourceVersion: string, query = {}, accept?: string) {
      const events: { readonly type: string; readonly object: Json }[] = [];
      const seen = { open: false, end: undefined as ApiError | "end" | undefined };
      const stop = new AbortController();
      const ended = client
        .watch(path, {
          query: { watch: true, allowWatchBookmarks: true, resourceVersion, ...query },
          ...(accept && { accept }),
          signal: stop.signal,
          opened: () => {
            seen.open = true;
          },
          line: (text) => events.push(JSON.parse(text)),
          paused: () => {},
          maxMs: 60_000,
        })
        .then(
          () => "end" as const,
          (error: unknown) => error as ApiError,
        )
        .then((end) => {
          seen.end = end;
        });
      ends.push(() => {
        stop.abort();
        return ended;
      });
      const shown = () =>
        events.filter(({ type }) => type !== "BOOKMARK").map(({ type, object }) => `${type} ${object.metadata.name}`);
      const until = (what: string, condition: () => boolean) => waitFor(condition, { what, timeoutMs: 30_000 });
      return { events, seen, shown, until };
    }

    it("creates once, and replaces and deletes only what is there", async () => {
      expect(await refusal(replace("a", "1"))).toBe("404 NotFound");
      expect(await refusal(remove("a"))).toBe("404 NotFound");
      await create("a");
      expect(await refusal(create("a"))).toBe("409 AlreadyExists");
      await remove("a");
      expect(await refusal(client.call("GET", `${path}/a`))).toBe("404 NotFound");
    });

    it("compares versions, of which 0 and none are any", async () => {
      const first = version(await create("a"));
      const second = version(await replace("a", "2", first));
      expect(Number(second)).toBeGreaterThan(Number(first));
      expect(await refusal(replace("a", "3", first))).toBe("409 Conflict");
      expect(await refusal(remove("a", first))).toBe("409 Conflict");
      expect(await refusal(remove("a", "0"))).toBe("409 Conflict");
      const third = version(await replace("a", "3", "0"));
      const fourth = version(await replace("a", "4"));
      expect([second, third, fourth]).toEqual([...new Set([second, third, fourth])]);
      await remove("a", fourth);
    });

    it("does not write what is the same already, so that both of two equal changes win", async () => {
      const first = version(await create("a"));
      expect(version(await replace("a", "1", first))).toBe(first);
      expect(version(await replace("a", "1", first))).toBe(first);
    });

    it("lists in pages of one version, by labels", async () => {
      for (const each of ["a", "b", "c", "d", "e"]) await create(each);
      const query = { limit: 2, labelSelector: "mine=yes" };
      const names: unknown[] = [];
      const versions = new Set<string>();
      let next: unknown;
      let pages = 0;
      do {
        const page = await list(next === undefined ? query : { ...query, continue: String(next) });
        names.push(...page.items.map(({ metadata }) => metadata.name));
        versions.add(version(page));
        next = page.metadata.continue;
        pages++;
      } while (next !== undefined && next !== "");
      expect([names.sort().join(""), versions.size, pages]).toEqual(["abcde", 1, 3]);
      expect((await list({ labelSelector: "mine=no" })).items.length).toBe(0);
    });

    it("tells a watch what has changed since its version, and one by labels of what comes and goes", async () => {
      const since = version(await list());
      await create("a");
      const { shown, until } = watch(since, { labelSelector: "mine=yes" });
      await until("the creation", () => shown().length === 1);
      await replace("a", "2");
      const other = { labels: { mine: "no" } };
      await client.call("PUT", `${path}/a`, { body: configMap("a", "3", other) });
      await client.call("PUT", `${path}/a`, { body: configMap("a", "4", other) });
      await replace("a", "5");
      await remove("a");
      await until("all events", () => shown().length === 5);
      expect(shown()).toEqual(["ADDED a", "MODIFIED a", "DELETED a", "ADDED a", "DELETED a"]);
    });

    it("gives a deleted object the version of its deletion", async () => {
      const last = version(await create("a"));
      const { events, until } = watch(last);
      await remove("a");
      await until("the deletion", () => events.some(({ type }) => type === "DELETED"));
      const gone = events.find(({ type }) => type === "DELETED");
      expect(Number(gone && version(gone.object))).toBeGreaterThan(Number(last));
    });

    it("says that a version of long ago is gone", async () => {
      const { seen, events, until } = watch("1");
      await until("the end", () => seen.end !== undefined || events.some(({ type }) => type === "ERROR"));
      const told = events.find(({ type }) => type === "ERROR")?.object as unknown as { code: number; reason: string };
      const refused = seen.end instanceof ApiError ? `${seen.end.status} ${seen.end.reason}` : undefined;
      expect(told === undefined ? refused : `${told.code} ${told.reason}`).toBe("410 Expired");
    });

    it("gives metadata alone when it is asked for that", async () => {
      await create("a");
      const accept = (kind: string) => `application/json;as=${kind};g=meta.k8s.io;v=v1`;
      const found = (await client.call("GET", path, { accept: accept("PartialObjectMetadataList") })) as unknown as {
        readonly items: readonly (Json & { readonly data?: unknown })[];
        readonly metadata: Json["metadata"];
      };
      const mine = found.items.find(({ metadata }) => metadata.name === "a");
      expect([mine?.metadata.labels, mine?.data]).toEqual([{ mine: "yes" }, undefined]);
      const { events, until } = watch(String(found.metadata.resourceVersion), {}, accept("PartialObjectMetadata"));
      await replace("a", "2");
      await until("the change", () => events.some(({ type }) => type === "MODIFIED"));
      const change = events.find(({ type }) => type === "MODIFIED");
      expect([change?.object.metadata.name, change?.object.data]).toEqual(["a", undefined]);
    });
  });
}
