// Decoding reads the whole cache for every token: its bytes in three formats, and the time that takes at a given bandwidth.
const { h } = Tree;
const whole = (min, max) => Numbers.number(min, max, { integer: true });
const rules = { kv_len: whole(1, 2 ** 21), num_heads_kv: whole(1, 128), head_dim: Numbers.oneOf(64, 128, 256), batch: whole(1, 1024), bandwidth_gb_s: Numbers.number(1, 20000) };
const CACHES = [["fp16", "fp16"], ["fp8", "FP8"], ["nvfp4", "NVFP4"]];
const time = (us) => (us >= 1000 ? `${Numbers.fixed(us / 1000, 2)} ms` : `${Numbers.fixed(us, us < 10 ? 2 : 1)} µs`);
const rows = (state) => CACHES.map(([cache, name]) => {
  const bytes = MemoryTraffic.cacheBytes(cache, state);
  return { name, cache, bytes, us: MemoryTraffic.decodeUs(bytes, state.bandwidth_gb_s) };
});

Figure.mount(element, props, {
  rules,
  view: (state, api) => {
    const all = rows(state), width = api.width, left = 64, right = width < 420 ? 84 : 190, room = width - left - right, most = all[0].us;
    return [
      api.slider("kv_len", { label: "Cached tokens", log: true, digits: 0, step: 1, chars: 8, least: 128 }),
      h("div", { class: "fig-row" }, api.field("batch", { label: "Sequences", log: true, digits: 0, step: 1, chars: 5 }), api.field("num_heads_kv", { label: "KV heads", log: true, digits: 0, step: 1, chars: 4 }),
        api.field("bandwidth_gb_s", { label: props.roof, step: 50, digits: 0, chars: 6, unit: "GB/s" }), api.choice("head_dim", "d", [[64, "64"], [128, "128"], [256, "256"]])),
      h("svg", { viewBox: `0 0 ${width} 120`, role: "img", "aria-label": all.map((r) => `${r.name}: ${time(r.us)}`).join(", ") },
        all.map((r, i) => [
          h("text", { class: "tinted key", x: 0, y: i * 40 + 24 }, r.name),
          h("rect", { class: "key mark", x: left, y: i * 40 + 8, width: Math.max(1, (room * r.us) / most), height: 24, rx: 2, "data-why": `2 × ${state.batch} × ${state.num_heads_kv} × ${state.kv_len} × ${state.head_dim} values × ${MemoryTraffic.CACHE_BITS[r.cache]} bits = ${Numbers.bytes(r.bytes)}; / ${state.bandwidth_gb_s} GB/s` }),
          h("text", { x: left + (room * r.us) / most + 8, y: i * 40 + 25 }, width < 420 ? time(r.us) : `${time(r.us)} · ${(r.bytes / 1e6).toFixed(1)} MB`),
        ])),
      h("p", { class: "fig-say" }, `One token, one layer: FP8 needs ${(all[0].us / all[1].us).toFixed(2)}× less time than fp16 at best, NVFP4 ${(all[0].us / all[2].us).toFixed(2)}×, its scales counted.`),
    ];
  },
  twin: (state) => ({ caption: "Bytes and time for one token of one layer", head: ["", "MB", "time"], rows: rows(state).map((r) => [r.name, (r.bytes / 1e6).toFixed(1), time(r.us)]) }),
  say: (state) => rows(state).map((r) => `${r.name} ${time(r.us)}`).join(", "),
});
