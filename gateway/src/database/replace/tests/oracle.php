<?php
// Writes random values twice, with the old hosts and with the new ones, as lines of base64: what the
// replacement must make of the first is the second, byte for byte. Each value is made from its seed once
// with either set of hosts, so nothing here replaces anything.
error_reporting(E_ALL & ~E_DEPRECATED);
ini_set('serialize_precision', '-1');

const OLD = ['example.com', 'www.example.com', 'example.com:8080', 'swap-one.test', 'swap-two.test', 'shop.example.com'];
const NEW_ = ['dev.example.test', 'dev-www.example.test:8443', 'localhost', 'swap-two.test', 'swap-one.test', 'a.bc'];
// What looks like the hosts and is none of them.
const OTHERS = ['//example.com.au/', '//myexample.com', 'info@example.com', '//example.com-two.test/', '//www.example.com:81/',
    '//example.com:80801/', '//user@example.com/', '//example.com_x', 'example.com in words', '%2F%2Fexample.com%3A99', '//example.com@there.test',
    '/example.com/', 'example.com/', '\\/example.com'];

enum Suit: string { case Hearts = 'H'; case Spades = 'S'; }
class Thing { public $open; protected $guarded; private $hidden; public ?Thing $next = null; public $self;
    function fill($a, $b, $c) { $this->open = $a; $this->guarded = $b; $this->hidden = $c; } }
class Old implements Serializable { public $text;
    function serialize() { return $this->text; } function unserialize($t) { $this->text = $t; } }

function host(array $hosts) { return $hosts[mt_rand(0, count($hosts) - 1)]; }
function pick(array $a) { return $a[mt_rand(0, count($a) - 1)]; }

function address(array $hosts) {
    $host = host($hosts);
    switch (mt_rand(0, 7)) {
        case 0: return '//' . $host;
        case 1: return str_replace('/', '\\/', "https://$host/a/b");
        case 2: return urlencode("https://$host/x?y=1");
        case 3: return rawurlencode(rawurlencode("http://$host/"));
        case 4: return str_replace('/', '\\\\\\/', "http://$host/c");
        default: return pick(['http', 'https', 'HTTPS', 'ftp']) . '://' . $host . pick(['', '/', '/wp-content/ü.png', '?q=1', '#x', '.', '. Next', ':', '"', "'", '<', ')', '\\n', ' ', '-', "\n"]);
    }
}

function words(array $hosts) {
    $text = '';
    for ($n = mt_rand(0, 4); $n >= 0; $n--) {
        switch (mt_rand(0, 6)) {
            case 0: case 1: case 2: $text .= ' ' . address($hosts) . ' '; break;
            case 3: $text .= pick(OTHERS) . ' '; break;
            case 4: $text .= pick(["\u{2028}", '日本', 'é', "\0", "\x1f", '";s:3:"', 'a:1:{', '{"x":', '\\', '"', '}', ';', "'", '<b>&amp;', "\u{1F600}"]); break;
            default: $text .= pick(['lorem', 'ipsum', '0', ' ', "\t"]);
        }
    }
    return $text;
}

function key_(array $hosts, bool $json) {
    // In JSON a key that is an address is replaced, in an array of PHP's not; a mere name in neither.
    $address = '//' . ($json ? host($hosts) : 'example.com') . '/';
    return pick([mt_rand(-5, 99), 'url', 'example.com', $address, 'k' . mt_rand(0, 999), '']);
}

function value(array $hosts, int $depth, bool $json = false) {
    $kinds = $depth > 0 ? 13 : 6;
    switch (mt_rand(0, $kinds)) {
        case 0: return mt_rand(-100000, 100000);
        case 1: return pick([0.1, -1.5e300, 1e25, 3.0, 1/3]);
        case 2: return pick([null, true, false]);
        case 3: return host($hosts);
        case 4: case 5: case 6: return words($hosts);
        case 7: if (!$json) {
            $t = new Thing(); $t->fill(value($hosts, $depth - 1), value($hosts, $depth - 1), value($hosts, $depth - 1));
            if (mt_rand(0, 1)) { $t->next = new Thing(); $t->next->self = $t; }
            return $t;
        }
        case 8: if (!$json) {
            $o = new Old(); $o->text = pick(['x', 'plain {payload};', 'http://there.test/']); return [$o, Suit::Hearts, value($hosts, 0), INF];
        }
        case 9: $inner = value($hosts, $depth - 1); return serialize(is_scalar($inner) ? [$inner] : $inner);
        case 10: $inner = jsonable($hosts, $depth - 1); return encode($inner);
        default:
            $list = [];
            for ($n = mt_rand(0, 4); $n > 0; $n--) { $list[key_($hosts, $json)] = value($hosts, $depth - 1, $json); }
            if (!$json && count($list) > 1 && mt_rand(0, 3) == 0) {
                $keys = array_keys($list); $list['same'] = &$list[$keys[0]];
            }
            return $list;
    }
}

function jsonable(array $hosts, int $depth) {
    $list = [];
    for ($n = mt_rand(0, 4); $n > 0; $n--) { $list['j' . mt_rand(0, 99)] = value($hosts, $depth, true); }
    return mt_rand(0, 3) ? $list : array_values($list);
}

function encode($v) {
    $flags = 0;
    foreach ([JSON_UNESCAPED_SLASHES, JSON_UNESCAPED_UNICODE, JSON_PRETTY_PRINT, JSON_HEX_TAG, JSON_HEX_QUOT, JSON_HEX_AMP, JSON_HEX_APOS] as $flag) {
        if (mt_rand(0, 2) == 0) { $flags |= $flag; }
    }
    return json_encode($v, $flags | JSON_PARTIAL_OUTPUT_ON_ERROR);
}

function top(int $kind, array $hosts) {
    switch ($kind) {
        case 0: return serialize(value($hosts, 4));
        case 1: return encode(jsonable($hosts, 3));
        case 2: return words($hosts);
        case 3: return 'cart|' . serialize([value($hosts, 3)]) . 'user|' . serialize(value($hosts, 2));
        default: return serialize([value($hosts, 5), value($hosts, 5)]);
    }
}

[, $from, $count] = $argv;
for ($seed = (int) $from; $seed < $from + $count; $seed++) {
    mt_srand($seed); $old = top($seed % 5, OLD);
    mt_srand($seed); $new = top($seed % 5, NEW_);
    echo base64_encode($old), ' ', base64_encode($new), "\n";
}
