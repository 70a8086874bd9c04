<?php
// What a busy site does: in a loop, uploads a file and writes its row, deletes the oldest row with its file, and
// counts in two tables at once. Prints one line for each time: how many microseconds the longest of its
// statements took.
//
//     content-writer.php SETTINGS.JSON ROUNDS-PER-SECOND

[, $path, $pace] = $argv;
$facts = json_decode(file_get_contents($path), true, 8, JSON_THROW_ON_ERROR);
$fact = fn ($name) => $facts['FUNICULAR_DATABASE_' . $name] ?? '';
$strict = [PDO::ATTR_ERRMODE => PDO::ERRMODE_EXCEPTION];
if ($fact('ENGINE') === 'sqlite') {
    $found = array_filter(glob($fact('DIR') . '/*'), fn ($name) => !preg_match('/-(wal|shm|journal)$/', $name));
    $database = new PDO('sqlite:' . reset($found), null, null, $strict + [PDO::ATTR_TIMEOUT => 20]);
    $database->exec('PRAGMA synchronous = NORMAL');
} else {
    $at = "host={$fact('HOST')};port={$fact('PORT')};dbname={$fact('NAME')}";
    $kind = $fact('ENGINE') === 'postgresql' ? "pgsql:$at" : "mysql:$at;charset=utf8mb4";
    $database = new PDO($kind, $fact('USER'), $fact('PASSWORD'), $strict);
}
$uploads = $facts['FUNICULAR_FILES'] . '/uploads';
@mkdir($uploads);
$insert = $database->prepare('INSERT INTO uploads (id, path) VALUES (?, ?)');
$delete = $database->prepare('DELETE FROM uploads WHERE id = ?');
$round = (int) $database->query('SELECT COALESCE(MAX(id), 0) FROM uploads')->fetchColumn();
$alive = $database->query('SELECT id FROM uploads ORDER BY id')->fetchAll(PDO::FETCH_COLUMN);
$longest = 0.0;
$timed = function (callable $work) use (&$longest) {
    $began = microtime(true);
    $work();
    $longest = max($longest, microtime(true) - $began);
};
while (true) {
    $began = microtime(true);
    $longest = 0.0;
    $round++;
    // Files in folders of a hundred, as systems keep uploads by the month.
    $folder = intdiv($round, 100);
    @mkdir("$uploads/$folder");
    $name = "uploads/$folder/$round.txt";
    file_put_contents($facts['FUNICULAR_FILES'] . "/$name", str_repeat("upload $round\n", 20));
    $timed(fn () => $insert->execute([$round, $name]));
    $timed(fn () => $database->beginTransaction());
    $timed(fn () => $database->exec('UPDATE counter_a SET n = n + 1'));
    $timed(fn () => $database->exec('UPDATE zz_counter SET n = n + 1'));
    $timed(fn () => $database->commit());
    // As many go as come, the oldest first; the row first, since a page must not show what is gone.
    $alive[] = $round;
    $gone = array_shift($alive);
    $timed(fn () => $delete->execute([$gone]));
    @unlink($facts['FUNICULAR_FILES'] . '/uploads/' . intdiv($gone, 100) . "/$gone.txt");
    echo (int) ($longest * 1e6), "\n";
    $left = 1 / $pace - (microtime(true) - $began);
    if ($left > 0) {
        usleep((int) ($left * 1e6));
    }
}
