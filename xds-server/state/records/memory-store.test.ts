import { describeRecordStore } from "../../../test/state/record-store-suite.ts";
import { MemoryRecords, MemoryStore } from "./memory-store.ts";

describeRecordStore("Record store in memory", async () => {
  const shared = new MemoryRecords();
  return {
    open: async () => new MemoryStore(shared),
    shared: true,
    durable: true,
    clear: async () => shared.records.clear(),
    dispose: async () => {},
  };
});
