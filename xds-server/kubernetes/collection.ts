/**
 * What is known of one collection of objects, and from which version on its changes are to be asked for: the list-and-watch protocol without its I/O.
 * https://kubernetes.io/docs/reference/using-api/api-concepts/#efficient-detection-of-changes
 */
import { ApiError } from "./api-error.ts";
import { MAX_OBJECTS } from "./limits.ts";
import { eventError } from "./status.ts";

/** An object as JSON; nothing is checked. */
export type RawObject = Readonly<Record<string, unknown>>;

export interface CollectionOptions<T> {
  /** For messages. */
  readonly path: string;
  /** What is kept of an object; undefined leaves it out. Never throws. */
  read(object: RawObject, key: string): T | undefined;
  /** Whether two readings are the same to whoever listens; then a change is none. */
  same(a: T, b: T): boolean;
  /** What an object counts against MAX_OBJECTS; 1 by default, more where objects are of very different sizes. */
  weigh?(value: T): number;
}

export class Collection<T> {
  readonly #options: CollectionOptions<T>;
  #objects = new Map<string, T>();
  #version: string | undefined;
  #weight = 0;
  /** A list under way, page by page. */
  #pages: { readonly objects: Map<string, T>; weight: number } | undefined;
  #changed = new Set<string>();

  constructor(options: CollectionOptions<T>) {
    this.#options = options;
  }

  /** By `namespace/name`, or `name` where there are no namespaces. */
  get objects(): ReadonlyMap<string, T> {
    return this.#objects;
  }

  /** From here on changes are to be asked for; undefined when a list is due. */
  get version(): string | undefined {
    return this.#version;
  }

  /** The next thing to do is a list. What is known stays. */
  expire(): void {
    this.#version = undefined;
    this.#pages = undefined;
  }

  /** The keys that are another since the last call. */
  takeChanged(): ReadonlySet<string> {
    const changed = this.#changed;
    this.#changed = new Set();
    return changed;
  }

  /**
   * One page of a list. Pages of one list are all of one version: only with the last one anything changes.
   * @returns the token of the next page; undefined after the last @throws ApiError
   */
  page(answer: unknown): string | undefined {
    const { metadata, items } = (answer ?? {}) as RawObject;
    const { resourceVersion, continue: next } = (metadata ?? {}) as RawObject;
    if (!Array.isArray(items) && items !== null)
      throw new ApiError("malformed", `the answer of ${this.#options.path} is no list`);
    if (typeof resourceVersion !== "string" || resourceVersion === "")
      throw new ApiError("malformed", `the list of ${this.#options.path} has no version`);
    this.#pages ??= { objects: new Map(), weight: 0 };
    for (const item of items ?? []) this.#collect(this.#pages, (item ?? {}) as RawObject);
    if (typeof next === "string" && next !== "") return next;
    this.#replace(this.#pages.objects);
    this.#weight = this.#pages.weight;
    this.#pages = undefined;
    this.#version = resourceVersion;
    return undefined;
  }

  /** One line of a watch; whether it was a bookmark. @throws ApiError, also for an ERROR event */
  event(line: string): boolean {
    let event: { readonly type?: unknown; readonly object?: unknown };
    try {
      event = JSON.parse(line) ?? {};
    } catch {
      throw new ApiError("malformed", `an event of ${this.#options.path} is no JSON`);
    }
    const object = (event.object ?? {}) as RawObject;
    if (event.type === "ERROR") throw eventError(object, this.#options.path);
    this.#advance(object);
    if (event.type === "ADDED" || event.type === "MODIFIED") this.#change(object);
    else if (event.type === "DELETED") this.#remove(keyOf(object));
    else if (event.type !== "BOOKMARK")
      throw new ApiError("malformed", `an event of ${this.#options.path} is of no known type`);
    return event.type === "BOOKMARK";
  }

  /** A store that was put back to an earlier state counts its versions anew: then changes up to our version would never be heard of. */
  #advance(object: RawObject): void {
    const { resourceVersion } = (object.metadata ?? {}) as RawObject;
    if (typeof resourceVersion !== "string" || resourceVersion === "")
      throw new ApiError("malformed", `an event of ${this.#options.path} has no version`);
    if (this.#version !== undefined && isOlder(resourceVersion, this.#version)) {
      const message = `${this.#options.path} went back from version ${this.#version}`;
      throw new ApiError("status", message, { status: 410, reason: "Expired" });
    }
    this.#version = resourceVersion;
  }

  #change(object: RawObject): void {
    const key = keyOf(object);
    if (key === undefined) return;
    const value = this.#options.read(object, key);
    const before = this.#objects.get(key);
    if (value === undefined) this.#remove(key);
    else if (before === undefined || !this.#options.same(before, value)) {
      this.#weight = this.#checked(this.#weight - this.#weigh(before) + this.#weigh(value));
      this.#objects.set(key, value);
      this.#changed.add(key);
    }
  }

  #remove(key: string | undefined): void {
    if (key === undefined) return;
    this.#weight -= this.#weigh(this.#objects.get(key));
    if (this.#objects.delete(key)) this.#changed.add(key);
  }

  #collect(pages: { readonly objects: Map<string, T>; weight: number }, object: RawObject): void {
    const key = keyOf(object);
    const value = key === undefined ? undefined : this.#options.read(object, key);
    if (key === undefined || value === undefined) return;
    pages.weight = this.#checked(pages.weight - this.#weigh(pages.objects.get(key)) + this.#weigh(value));
    pages.objects.set(key, value);
  }

  #weigh(value: T | undefined): number {
    return value === undefined ? 0 : (this.#options.weigh?.(value) ?? 1);
  }

  #checked(weight: number): number {
    if (weight <= MAX_OBJECTS) return weight;
    throw new ApiError("too_large", `${this.#options.path} has more than ${MAX_OBJECTS} objects, or too large ones`);
  }

  #replace(next: Map<string, T>): void {
    const before = this.#objects;
    for (const key of before.keys()) if (!next.has(key)) this.#changed.add(key);
    for (const [key, value] of next) {
      const old = before.get(key);
      if (old === undefined || !this.#options.same(old, value)) this.#changed.add(key);
    }
    this.#objects = next;
  }
}

/** Names are of DNS: anything else is not from an API server. */
function keyOf({ metadata }: RawObject): string | undefined {
  const { namespace = "", name } = (metadata ?? {}) as RawObject;
  if (typeof name !== "string" || typeof namespace !== "string") return undefined;
  if (name === "" || name.length > 253 || namespace.length > 63) return undefined;
  return namespace === "" ? name : `${namespace}/${name}`;
}

/** Versions are whole numbers that can be compared, of any length. https://kubernetes.io/docs/reference/using-api/api-concepts/#resource-versions */
function isOlder(a: string, b: string): boolean {
  if (!/^[0-9]{1,40}$/.test(a) || !/^[0-9]{1,40}$/.test(b)) return false;
  return a.length !== b.length ? a.length < b.length : a < b;
}
