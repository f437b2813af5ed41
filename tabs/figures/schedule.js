// The twin of schedule.py.
const Schedule = (() => {
  const TILES = 8, EXPS_A_CLOCK = 16, DESIGNS = ["naive", "flash", "specialised", "ping-pong"];
  const costs = (chip, { head_dim, block_m, block_n, readers }) => {
    const bytes_a_us = (chip.bandwidth_gb_s * 1e3) / chip.multiprocessors;
    return {
      load: (2 * block_n * head_dim * 2) / bytes_a_us / readers, product: (2 * block_m * block_n * head_dim) / ((chip.peak_tflops * 1e6) / chip.multiprocessors),
      exps: (block_m * block_n) / (EXPS_A_CLOCK * chip.clock * 1e3), scores: (block_m * block_n * 2) / bytes_a_us,
    };
  };
  const totalUs = (found) => Math.max(...found.map(({ end }) => end));
  const busy = (found, unit) => found.reduce((sum, event) => sum + (event.unit === unit ? event.end - event.start : 0), 0) / totalUs(found);
  const tflops = (found, chip) => chip.peak_tflops * busy(found, "matrix");

  const events = (design, cost, stages) => {
    const free = { memory: 0, matrix: 0, special: 0 }, found = [], done = [];
    const run = (unit, what, tile, time, ready, group = 0) => {
      const start = Math.max(free[unit], ready), end = start + time;
      free[unit] = end;
      found.push({ unit, what, tile, group, start, end });
      return end;
    };
    const load = (tile) => run("memory", "K, V", tile, cost.load, tile >= stages ? done[tile - stages] : 0);
    const each = (turn) => Array.from({ length: TILES }, (_, tile) => turn(tile));
    const ways = {
      naive: () => {
        each((tile) => run("memory", "write S", tile, cost.scores, run("matrix", "QKᵀ", tile, cost.product, run("memory", "K", tile, cost.load / 2, 0))));
        let over = totalUs(found);
        each((tile) => run("memory", "write P", tile, cost.scores, run("special", "exp", tile, cost.exps, run("memory", "read S", tile, cost.scores, over))));
        over = totalUs(found);
        each((tile) => run("matrix", "PV", tile, cost.product, run("memory", "P, V", tile, cost.scores + cost.load / 2, over)));
      },
      flash: () => each((tile) => {
        const loaded = load(tile), scored = run("matrix", "QKᵀ", tile, cost.product, Math.max(loaded, tile ? done[tile - 1] : 0));
        done.push(run("matrix", "PV", tile, cost.product, run("special", "exp", tile, cost.exps, scored)));
      }),
      specialised: () => {
        const scores = (tile) => run("matrix", "QKᵀ", tile, cost.product, load(tile));
        let scored = scores(0);
        each((tile) => {
          const following = tile + 1 < TILES ? scores(tile + 1) : 0;
          done.push(run("matrix", "PV", tile, cost.product, run("special", "exp", tile, cost.exps, scored)));
          scored = following;
        });
      },
      "ping-pong": () => {
        const half = cost.product / 2;
        let loaded = load(0);
        const scored = [0, 1].map((group) => run("matrix", "QKᵀ", 0, half, loaded, group));
        each((tile) => {
          const more = tile + 1 < TILES, ends = [];
          if (more) loaded = load(tile + 1);
          [0, 1].forEach((group) => {
            ends.push(run("matrix", "PV", tile, half, run("special", "exp", tile, cost.exps / 2, scored[group], group), group));
            if (more) scored[group] = run("matrix", "QKᵀ", tile + 1, half, Math.max(loaded, ends[group]), group);
          });
          done.push(Math.max(...ends));
        });
      },
    };
    ways[design]();
    return found;
  };
  return { TILES, DESIGNS, costs, events, totalUs, busy, tflops };
})();
