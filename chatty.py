
import os, subprocess, sys
from network import Net

print("imported")

class Chatty(Net):
    def forward(self, x):
        print("in Python")
        os.write(1, b"by number\n")
        sys.__stdout__.write("behind the back of sys.stdout\n")
        subprocess.run(["echo", "another process"])
        return super().forward(x)

class Exits(Net):
    def forward(self, x):
        sys.exit(0)

def leaves():
    sys.exit(0)
