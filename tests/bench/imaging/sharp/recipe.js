// sharp: `straight`, each width from the file; `best`, a chain of sizes at our efforts.
const fs = require('node:fs');
const path = require('node:path');
const sharp = require('sharp');

const WIDTHS = [320, 640, 1280, 1920];
const quality = 80;
sharp.concurrency(1);
sharp.cache(false);

// It turns no animation.
function opened(source) {
  return source.endsWith('.gif') ? sharp(source, { animated: true }) : sharp(source).autoOrient();
}

async function straight(source, out) {
  for (const width of WIDTHS) {
    await opened(source).resize({ width, withoutEnlargement: true }).webp({ quality }).toFile(path.join(out, `w${width}.webp`));
  }
}

async function best(source, out) {
  let image = opened(source);
  for (const width of [...WIDTHS].reverse()) {
    const { data, info } = await image.resize({ width, withoutEnlargement: true }).raw().toBuffer({ resolveWithObject: true });
    const { width: own, height, channels, pageHeight } = info;
    const raw = { raw: { width: own, height, channels, pageHeight } };
    const effort = own * (pageHeight ?? height) <= 640 * 640 ? 4 : 2;
    await sharp(data, raw).webp({ quality, effort }).toFile(path.join(out, `w${width}.webp`));
    image = sharp(data, raw);
  }
}

async function main() {
  const [source, out] = process.argv.slice(2);
  const recipe = { straight, best }[process.env.RECIPE];
  await recipe(source, out);
  const before = process.cpuUsage();
  const began = performance.now();
  await recipe(source, out);
  const used = process.cpuUsage(before);
  const peak = Number(/VmHWM:\s+(\d+)/.exec(fs.readFileSync('/proc/self/status', 'utf8'))[1]) * 1024;
  console.log(JSON.stringify({ cpu: (used.user + used.system) / 1e6, wall: (performance.now() - began) / 1e3, peak }));
}

main();
