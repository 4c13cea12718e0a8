# Draws results of the part scan: gnuplot -e "directory='...'" scaling.gp
set terminal svg size 800,540 font "sans,12" background "white" noenhanced
set output directory . "/scaling.svg"
machine = system("fold -s -w 110 " . directory . "/machine.txt")
set title "CPU time against the number of sessions, half of them idle in transaction"
set logscale xy
set xlabel "sessions\n\n" . machine
set ylabel "CPU time (us), each once a second"
set xtics (100, 500, 1000, 2500, 5000)
set grid
set xrange [*<80:6300<*]
set key outside top center horizontal
set bmargin 8
plot directory . "/scaling.dat" using 1:2 with linespoints title "query on pg_stat_activity", \
	"" using 1:3 with linespoints title "scan of the watcher", \
	"" using 1:4 with linespoints title "process that only wakes up", \
	"" using 1:5 with linespoints title "scan of the watcher, back to back"
