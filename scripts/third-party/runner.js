'use strict';
// Plays scenarios one after another, and prints a line for each.

/**
 * `play(scenario, number)` resolves to what happened, as { word: number }, or to a string: why it cannot be played.
 * Resolves to whether none failed; ends the process if it takes longer.
 */
async function run(suite, scenarios, play, secondsMax) {
  setTimeout(() => {
    console.log(`FAILED   ${suite}: not done after ${secondsMax} s`);
    process.exit(1);
  }, secondsMax * 1000).unref();
  const only = process.env.ONLY;
  const chosen = scenarios.filter(({ name }) => !only || name.includes(only));
  const totals = { ok: 0, skipped: 0, FAILED: 0 };
  for (const [n, scenario] of chosen.entries()) {
    const began = Date.now();
    const { result, text } = await attempt(() => play(scenario, n + 1));
    totals[result] += 1;
    const seconds = ((Date.now() - began) / 1000).toFixed(1);
    console.log(`${result.padEnd(8)} ${suite}: ${scenario.name}: ${text} (${seconds} s)`);
  }
  console.log(`${suite}: ${totals.ok} of ${chosen.length} scenarios passed, ${totals.skipped} skipped`);
  return totals.FAILED === 0 && chosen.length > 0;
}

async function attempt(play) {
  try {
    const happened = await play();
    if (typeof happened === 'string') return { result: 'skipped', text: happened };
    return { result: 'ok', text: Object.entries(happened).map(([word, n]) => `${n} ${word}`).join(', ') };
  } catch (error) {
    console.error('\n', error, '\n');
    return { result: 'FAILED', text: error.message.split('\n')[0] };
  }
}

module.exports = { run };
