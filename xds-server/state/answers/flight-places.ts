/**
 * Which of several servers has a flight or a replay. Where one address stands for all of them, a request may come to another one than the leader's answer did, or the get that began its replay;
 * that one asks here and passes the request on, once. Kept where all servers look, under an id that nobody can guess, so that nobody can have a server call another address.
 */
import { isIP } from "node:net";

export interface FlightPlaces {
  /** Resolves when others can find it, or when nobody can: then only this server answers for it. Never rejects. @param place `address:port` @param ttlMs how long it may be asked for */
  note(id: string, place: string, ttlMs: number): Promise<void>;
  /** Undefined when nobody knows. Never rejects. */
  find(id: string): Promise<string | undefined>;
  /** It is over. */
  forget(id: string): void;
}

/** What a store has for it. */
export interface PlaceStore {
  /** @throws StoreError */
  setPlace(id: string, place: string, ttlMs: number): Promise<void>;
  /** @throws StoreError */
  getPlace(id: string): Promise<string | null>;
  /** @throws StoreError */
  dropPlace(id: string): Promise<void>;
}

const MAX_PLACE = 64;
const ID = /^[0-9a-f]{32}$/;

/** Address and port of a place; undefined for what is none. A name is none: it could be somebody else's tomorrow. */
export function parsePlace(text: string): { readonly host: string; readonly port: number } | undefined {
  const [, bracketed, plain, port = ""] =
    text.length > MAX_PLACE ? [] : (/^(?:\[([0-9a-f:.]+)\]|([0-9.]+)):(\d{1,5})$/.exec(text) ?? []);
  const host = bracketed ?? plain ?? "";
  const isPlace = isIP(host) !== 0 && Number(port) > 0 && Number(port) < 65_536;
  return isPlace ? { host, port: Number(port) } : undefined;
}

export function sharedPlaces(store: PlaceStore): FlightPlaces {
  return {
    note: async (id, place, ttlMs) => {
      if (parsePlace(place) !== undefined) await store.setPlace(id, place, ttlMs).catch(() => {});
    },
    find: async (id) => {
      const place = ID.test(id) ? await store.getPlace(id).catch(() => null) : null;
      return place === null || parsePlace(place) === undefined ? undefined : place;
    },
    forget: (id) => {
      store.dropPlace(id).catch(() => {});
    },
  };
}
